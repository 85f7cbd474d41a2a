"""The watch over a Release that has completed: looked at each second, gone back from when it fails.

Whether a watch is open stands in the log (`WatchBegun`, until one of its ends), so whoever runs the
environment's work goes on with it after a crash: the daemon, or the command that deployed and waits. Looking
and deciding need no lock, so nobody waits for a watch: a newer request ends it, and the rollback that it may
lead to is worked on like any other. Several may watch at once; what each decides asks first whether the watch
is still open.

What gateways and engines count is compared with the first look of this very process. So after a crash
requests and restarts are counted anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from controller.decide.watch import Figures, decide_failed, decide_passed
from controller.deciding import append_decided
from controller.following import follow
from controller.releasing import recorder_of
from events.catalog import decode
from events.catalog.environment import RollbackRequested
from events.catalog.watch import WatchEnded, WatchFailed, WatchPassed
from events.kernel.errors import StagecraftError
from events.streams import environment_stream

if TYPE_CHECKING:
    from controller.context import Context
    from controller.decide.state import EnvironmentState, Watch
    from controller.targets import Target
    from events.catalog import Event, Failure
    from projections.converge.symptoms import Symptoms
    from projections.converge.work import Verdict, VerdictStatus

LOOK_SECONDS = 1.0
_LEFT_OPEN = timedelta(seconds=5)  # by then whoever watches has said its end
_RETRY_SECONDS = 5.0  # after a look that could not even be recorded

_END = WatchPassed | WatchFailed | WatchEnded


async def watch_out(context: Context, target: Target) -> str | None:
    """Look at what the newest Release changed until its watch is over; back at once when none is open.

    Answers the Release that was watched last. Each end is recorded. The rollback that is decided is left to
    whoever works on the environment. Raises what the log raises.
    """
    window: _Window | None = None
    while (watch := _open(context, target)) is not None:
        if window is None or window.watch != watch:
            window = _Window(context=context, target=target, watch=watch)
        if await window.look():
            await context.clock.sleep(window.rest_seconds)
    return None if window is None else window.watch.release


async def watched(context: Context, target: Target, verdict: Verdict) -> Verdict:
    """The verdict of a Release once its watch is over: `rolled_back` when what it brought failed then.

    The rollback is brought to its end here, or followed where another process works on it. Raises what that
    raises.
    """
    watch = _open(context, target)
    if verdict.status != "completed" or watch is None or watch.release != verdict.release:
        return verdict
    seconds = max(0.0, (watch.until - context.clock.now()).total_seconds())
    context.progress(
        f"{target}: {verdict.release} is watched for {seconds:.0f} s: {', '.join(watch.services)}"
    )
    await watch_out(context, target)
    end, back = _end_of(context, target, verdict.release)
    context.progress(f"{target}: {_words(verdict.release, end)}")
    if not isinstance(end, WatchFailed):
        return verdict
    restored: VerdictStatus = "failed"
    if back is not None:
        ended = await follow(context, target, back, purpose="rollback after a watch")
        restored = "rolled_back" if ended.status == "completed" else restored
    return replace(verdict, status=restored, failure=end.failure)


async def look_before_mending(held: Context, title: str) -> None:
    """Take a Release back that fails now, before a heal hides it. Nothing where no watch is open.

    A watch that is over and that nobody went on with, as where each look is a process of its own, ends here.
    """
    project, _, name = title.partition("/")
    state = held.environment(project, name)
    if state.watch is None:
        return
    symptoms = _symptoms(held, state, state.watch)
    failure = await symptoms.look()
    if failure is not None:
        _say_failed(held, title, state.watch.release, failure=failure, figures=Figures())
    elif held.clock.now() >= state.watch.until + _LEFT_OPEN:
        _say_passed(held, title, state.watch.release, figures=Figures())


@dataclass(slots=True, kw_only=True)
class _Window:
    """One watch, as this process sees it."""

    context: Context
    target: Target
    watch: Watch
    _symptoms: Symptoms = field(init=False)
    _ends: float = field(init=False)  # monotonic: a wall clock that is set does not prolong it

    def __post_init__(self) -> None:
        clock, watch = self.context.clock, self.watch
        left = min(watch.until - clock.now(), watch.until - watch.since)
        self._ends = clock.monotonic() + max(0.0, left.total_seconds())
        state = self.context.environment(self.target.project, self.target.name)
        self._symptoms = _symptoms(self.context, state, watch)

    @property
    def rest_seconds(self) -> float:
        """Until the next look."""
        return max(0.0, min(LOOK_SECONDS, self._ends - self.context.clock.monotonic()))

    async def look(self) -> bool:
        """Look once, and say the end when this is it; whether it goes on."""
        over = self.context.clock.monotonic() >= self._ends
        failure = await self._symptoms.look()
        counted = self._symptoms.counted()
        title, release = str(self.target), self.watch.release
        if failure is not None:
            named = [] if failure.service is None else [failure.service]
            counted = self._symptoms.counted(*named)
            figures = Figures(requests=counted.requests, failed=counted.failed)
            _say_failed(self.context, title, release, failure=failure, figures=figures)
        elif over:
            figures = Figures(requests=counted.requests, failed=counted.failed)
            _say_passed(self.context, title, release, figures=figures)
        return failure is None and not over


def _say_passed(context: Context, title: str, release: str, *, figures: Figures) -> None:
    """Record that nothing was found."""
    project, _, name = title.partition("/")

    def passed(state: EnvironmentState) -> tuple[Event, ...]:
        return decide_passed(state, release=release, figures=figures)

    append_decided(context, title, passed, recorder=recorder_of(context, project, name, release=release))


def _say_failed(context: Context, title: str, release: str, *, failure: Failure, figures: Figures) -> None:
    """Record what was found, and the way back with it."""
    project, _, name = title.partition("/")
    back = context.release_id(project, name)

    def failed(state: EnvironmentState) -> tuple[Event, ...]:
        return decide_failed(state, release=release, failure=failure, figures=figures, release_id=back)

    recorder = recorder_of(context, project, name, release=release)
    if append_decided(context, title, failed, recorder=recorder):
        context.progress(f"{title}: {release} fails while it is watched: {failure.message}")


def _open(context: Context, target: Target) -> Watch | None:
    return context.environment(target.project, target.name).watch


def _symptoms(context: Context, state: EnvironmentState, watch: Watch) -> Symptoms:
    """The looks at what is watched; what people hold requests back from is answered 503 on purpose."""
    services = tuple(name for name in watch.services if name not in state.drained.services)
    return context.converger.symptoms(context.manifest(state.releases[watch.release].digest), services)


def _end_of(context: Context, target: Target, release: str) -> tuple[_END | None, str | None]:
    """How the watch over a Release ended, and the rollback that came with it."""
    back: str | None = None
    for stored in reversed(context.log.read_stream(environment_stream(target.project, target.name))):
        event = decode(stored)
        if isinstance(event, RollbackRequested) and event.reverts == release:
            back = event.release
        elif isinstance(event, _END) and event.release == release:
            return event, back if isinstance(event, WatchFailed) else None
    return None, None


def _words(release: str, end: _END | None) -> str:
    if isinstance(end, WatchFailed):
        return f"{release} failed while it was watched: {end.failure.message}"
    if isinstance(end, WatchPassed):
        counted = f"; {end.failed} of {end.requests} requests failed" if end.requests else ""
        return f"{release} passed its watch{counted}"
    return f"{release} is watched no more" + ("" if end is None else f": {end.reason}")


@dataclass(slots=True, kw_only=True)
class Watches:
    """The open watches of a daemon's environments, a task each; belongs to one event loop."""

    context: Context
    wake: Callable[[str, str], None]  # an environment on which something was decided
    say: Callable[[str], None]
    failed: Callable[[str, str, Failure], None]  # an environment, the Release that goes back, and why
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, "asyncio.Task[None]"])

    def see_to(self, target: Target) -> None:
        """Begin to watch what has an open watch and is not watched yet."""
        title = str(target)
        if title not in self._tasks and _open(self.context, target) is not None:
            self._tasks[title] = asyncio.create_task(self._watch(target))

    async def close(self) -> None:
        """Watch no more; the log knows what is open."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, target: Target) -> None:
        title = str(target)
        try:
            release = await self._watched_out(target)
        finally:
            del self._tasks[title]
        end = None if release is None else _end_of(self.context, target, release)[0]
        if isinstance(end, WatchFailed):
            self.failed(title, end.release, end.failure)
        self.wake(title, "watch")

    async def _watched_out(self, target: Target) -> str | None:
        """As `watch_out`, however often the log or a Manifest cannot be read."""
        while True:
            try:
                return await watch_out(self.context, target)
            except StagecraftError as error:
                self.say(f"{target}: its watch goes on: {error.message}")
                await self.context.clock.sleep(_RETRY_SECONDS)
