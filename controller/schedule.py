"""What happens again and again: APScheduler's interval jobs, kept alive through jumps of the wall clock.

APScheduler plans by wall time. When that is set back an hour, a job that is due every minute would rest for
an hour, silently. So `recheck`, which a monotonic timer calls, plans a job anew when its next run is further
away than it ever should be. The store is memory: the log is what is remembered.

The only module that imports APScheduler.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast

from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]  # it has no types
from apscheduler.triggers.interval import IntervalTrigger  # type: ignore[import-untyped]  # it has no types

_SLACK_SECONDS = 5.0


class _Scheduler(Protocol):
    """`AsyncIOScheduler`, as far as it is called."""

    def start(self) -> None: ...
    def shutdown(self, *, wait: bool) -> None: ...
    def add_job(self, func: Callable[[], Awaitable[None]], trigger: object, **options: Any) -> object: ...  # noqa: ANN401  # passed on
    def reschedule_job(self, job_id: str, *, trigger: object) -> object: ...
    def get_job(self, job_id: str) -> Any: ...  # noqa: ANN401  # a Job, which has no types


_interval = cast("Callable[..., object]", IntervalTrigger)  # it takes fractions of a second too


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rhythm:
    seconds: float
    jitter_seconds: float

    def trigger(self) -> object:
        jitter = self.jitter_seconds or None
        made: object = _interval(seconds=self.seconds, jitter=jitter, timezone=UTC)
        return made


@dataclass(slots=True)
class Schedule:
    """Interval jobs of one event loop. A job that is still running when it is due again is left alone."""

    _scheduler: _Scheduler = field(init=False)
    _rhythms: dict[str, _Rhythm] = field(default_factory=dict[str, _Rhythm])

    def __post_init__(self) -> None:
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)  # jobs report their own errors
        options = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self._scheduler = cast("_Scheduler", AsyncIOScheduler(timezone=UTC, job_defaults=options))

    def start(self) -> None:
        """Begin; needs a running loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """No job starts any more."""
        self._scheduler.shutdown(wait=False)

    def every(
        self, name: str, seconds: float, job: Callable[[], Awaitable[None]], *, jitter_seconds: float = 0.0
    ) -> None:
        """Run `job` at this interval, for the first time after one interval."""
        self._rhythms[name] = _Rhythm(seconds=seconds, jitter_seconds=jitter_seconds)
        self._scheduler.add_job(job, self._rhythms[name].trigger(), id=name)

    def slow_down(self, name: str, seconds: float) -> None:
        """Run it next after `seconds`, and at that interval until `as_usual`."""
        self._plan(name, _Rhythm(seconds=seconds, jitter_seconds=self._rhythms[name].jitter_seconds))

    def as_usual(self, name: str) -> None:
        """Back to the interval that `every` set."""
        self._plan(name, self._rhythms[name])

    def next_run(self, name: str) -> datetime | None:
        """When it is due."""
        job = self._scheduler.get_job(name)
        found: datetime | None = None if job is None else job.next_run_time
        return found

    def recheck(self, *, now: datetime, longest_seconds: float) -> list[str]:
        """Plan anew what is due later than any interval allows; answers the names."""
        limit = now + timedelta(seconds=longest_seconds + _SLACK_SECONDS)
        late = [name for name in self._rhythms if (due := self.next_run(name)) is not None and due > limit]
        for name in late:
            self.as_usual(name)
        return late

    def _plan(self, name: str, rhythm: _Rhythm) -> None:
        self._scheduler.reschedule_job(name, trigger=rhythm.trigger())
