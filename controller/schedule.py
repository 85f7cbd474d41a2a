"""What happens again and again: jobs of APScheduler, kept alive through jumps of the wall clock.

APScheduler plans by wall time. When that is set back an hour, a job that is due every minute would rest for
an hour, silently. So `recheck`, which a monotonic timer calls, plans a job anew when its next run is further
away than its interval. Set forward, a job is run once, early. For that each run plans the next one as a date
of its own: an interval of APScheduler's counts through all the runs it missed, which is for ever after a
clock that began in 1970 was set. The store is memory: the log is what is remembered.

The only module that imports APScheduler.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast

from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]  # it has no types
from apscheduler.triggers.date import DateTrigger  # type: ignore[import-untyped]  # it has no types

_SLACK_SECONDS = 5.0


class _Scheduler(Protocol):
    """`AsyncIOScheduler`, as far as it is called."""

    def start(self) -> None: ...
    def shutdown(self, *, wait: bool) -> None: ...
    def add_job(self, func: Callable[..., Awaitable[None]], trigger: object, **options: Any) -> object: ...  # noqa: ANN401  # passed on
    def get_job(self, job_id: str) -> Any: ...  # noqa: ANN401  # a Job, which has no types


_date = cast("Callable[..., object]", DateTrigger)

Job = Callable[[], Awaitable[None]]


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rhythm:
    seconds: float
    jitter_seconds: float

    @property
    def longest_seconds(self) -> float:
        """Until the next run, at most."""
        return self.seconds + self.jitter_seconds

    def next_seconds(self) -> float:
        """Until the next run, with chance in it."""
        return self.seconds + random.uniform(-self.jitter_seconds, self.jitter_seconds)  # noqa: S311  # no secret


@dataclass(slots=True)
class Schedule:
    """Jobs of one event loop that run at an interval, counted from the end of the run before."""

    now: Callable[[], datetime] = _utc_now  # the wall clock that APScheduler reads too
    _scheduler: _Scheduler = field(init=False)
    _rhythms: dict[str, _Rhythm] = field(default_factory=dict[str, _Rhythm])  # as `every` set them
    _jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    _running: set[str] = field(default_factory=set[str])
    _planned: dict[str, _Rhythm] = field(default_factory=dict[str, _Rhythm])  # as they are now

    def __post_init__(self) -> None:
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)  # jobs report their own errors
        # `_run` sees to it that a job does not overlap itself; a run that was refused would be the last one.
        options = {"coalesce": True, "max_instances": 10, "misfire_grace_time": None}
        self._scheduler = cast("_Scheduler", AsyncIOScheduler(timezone=UTC, job_defaults=options))

    def start(self) -> None:
        """Begin; needs a running loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """No job starts any more."""
        self._scheduler.shutdown(wait=False)

    def every(self, name: str, seconds: float, job: Job, *, jitter_seconds: float = 0.0) -> None:
        """Run `job` at this interval, for the first time after one interval."""
        self._jobs[name] = job
        self._rhythms[name] = _Rhythm(seconds=seconds, jitter_seconds=jitter_seconds)
        self._plan(name, self._rhythms[name])

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

    def recheck(self) -> list[str]:
        """Plan anew what is due later than its interval allows; answers the names."""
        late = [name for name in self._planned if self._is_late(name)]
        for name in late:
            self._plan(name, self._planned[name])
        return late

    def _is_late(self, name: str) -> bool:
        due = self.next_run(name)
        longest = self._planned[name].longest_seconds + _SLACK_SECONDS
        if due is None:
            return name not in self._running
        return due > self.now() + timedelta(seconds=longest)

    def _plan(self, name: str, rhythm: _Rhythm) -> None:
        self._planned[name] = rhythm
        due = self.now() + timedelta(seconds=rhythm.next_seconds())
        self._scheduler.add_job(self._run, _date(due, UTC), args=(name,), id=name, replace_existing=True)

    async def _run(self, name: str) -> None:
        if name in self._running:
            return  # its end plans the next one
        self._running.add(name)
        try:
            await self._jobs[name]()
        finally:
            self._running.discard(name)
            self._plan(name, self._planned[name])
