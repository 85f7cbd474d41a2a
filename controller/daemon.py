"""The loop that runs by itself: hints wake it, looks decide.

One asyncio loop. A branch is looked at when a push is noticed, when the poll is due and at each pass; an
environment is considered when its branch shows something new, when its containers change, when a failure
from outside is to be tried again, and at each pass. Nothing a hint says is believed: each look sees for
itself, with the code of `--once`. A hint that is lost costs time until the next poll or pass, no more.

A bug in the work of one environment is said and tried again later; it stops no other. A bug in the daemon
itself ends the process with an error, because a loop that only seems to run is worse than one that ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from controller.adopted_hints import adopted_event
from controller.afterwards import Afterwards
from controller.breaker import Attempts
from controller.context import Context
from controller.expiring import seconds_to_expiry
from controller.freshness import Freshness
from controller.locks import LOCKED, locked
from controller.look import Outcome, consider, consider_gone, keep
from controller.neighbours import Neighbours
from controller.notify import Notifier
from controller.queues import WorkQueues
from controller.schedule import Schedule
from controller.source import Source
from controller.wakeups import Listener, follow_refs
from events.catalog import Failure
from events.kernel.errors import InternalError, OutsideError, StagecraftError, error_code
from gitops.config.controller import ControllerFile
from projections.engine.port import EngineEvent

CONTROLLER_RUNNING = error_code(
    "controller-running", "Another process watches the same repository for the same home already."
)
WORK_BROKE = error_code("work-broke", "A bug of Stagecraft ended the work on one environment.")

_POLL = "poll"
_ENDS = frozenset({"die", "stop", "destroy", "pause", "oom"})
_SETTLING_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0)
"""An engine tells of an end before its listing shows it, so a look that found nothing is repeated."""
_LONGEST_BEAT_SECONDS = 15.0
_FLUSH_SECONDS = 3.0


@dataclass(slots=True, kw_only=True)
class Daemon:
    """Watches one branch and keeps its environments; belongs to one event loop."""

    context: Context
    source: Source
    url: str  # of the repository, as Git takes it
    settings: ControllerFile
    say: Callable[[str], None]  # what happened, one line
    whisper: Callable[[str], None]  # what woke it
    grace_seconds: float = 60.0  # for the work under way when it is asked to end
    queues: WorkQueues = field(init=False)
    notifier: Notifier = field(init=False)
    _afterwards: Afterwards = field(init=False)
    _neighbours: Neighbours = field(init=False)
    _attempts: Attempts = field(default_factory=Attempts)
    _schedule: Schedule = field(default_factory=Schedule)
    _look_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _freshness: Freshness = field(init=False)
    _settling: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    _looked: bool = False

    def __post_init__(self) -> None:
        clock, poll = self.context.clock, self.settings.poll
        self.queues = WorkQueues(work=self._work, clock=clock)
        self.notifier = Notifier(settings=self.settings.notify, say=self.say)
        jitter = min(poll.jitter, poll.interval / 2)
        self._schedule.every(_POLL, poll.interval, self._poll, jitter_seconds=jitter)
        self._freshness = Freshness(
            context=self.context,
            source=self.source,
            settings=poll,
            slow_down=lambda seconds: self._schedule.slow_down(_POLL, seconds),
            as_usual=lambda: self._schedule.as_usual(_POLL),
            say=self.say,
            tell=self.notifier.tell,
        )
        self._neighbours = Neighbours(
            context=self.context,
            working=lambda: self.queues.working,
            known=self.source.titles,
            wake=self.queues.wake,
        )
        self._afterwards = Afterwards(
            context=self.context,
            queues=self.queues,
            attempts=self._attempts,
            say=self.say,
            tell=self.notifier.tell,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Keep the environments until `stopping` is set, then finish what is under way.

        Raises OutsideError `controller-running` before it does anything, and what a broken loop raised: the
        process should end and be started again.
        """
        async with AsyncExitStack() as stack:
            await self._present(stack)
            self._schedule.start()
            loops = [asyncio.create_task(one) for one in self._loops()]
            self.want_look("start")
            stop = asyncio.create_task(stopping.wait())
            try:
                await asyncio.wait([stop, *loops], return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._schedule.stop()
                stop.cancel()
                await self._end(loops)
            for loop in loops:
                if not loop.cancelled():
                    loop.result()

    def want_look(self, reason: str) -> None:
        """Look at the branch as soon as the look under way is over."""
        self.whisper(f"look at the branch: {reason}")
        self._look_wanted.set()

    def hear(self, event: EngineEvent) -> None:
        """An engine's hint: look at that environment, or at all. The first look at the branch comes first."""
        if not self._looked:
            return
        known = self.source.titles()
        if event.container:
            event = adopted_event(self.context.log, event, known)
        if event.environment is None:
            for title in known:
                self.queues.wake_later(title, "engine", seconds=self._wait_seconds(title))
        elif event.environment in known:
            wait = self._wait_seconds(event.environment)
            reason = f"{event.service} {event.action}"
            self.whisper(f"{event.environment}: {reason}")
            if event.action in _ENDS:
                self._settling[event.environment] = list(_SETTLING_SECONDS)
            self.queues.wake_later(event.environment, reason, seconds=max(wait, _SETTLING_SECONDS[0]))

    def _wait_seconds(self, title: str) -> float:
        """How long a hint should rest: heals that fail or do not last come more and more slowly."""
        return self._attempts.wait_seconds(title, now=self.context.clock.monotonic())

    def _loops(self) -> list[Coroutine[Any, Any, None]]:
        listeners = [
            Listener(host=host, engine=engine, hear=self.hear, say=self.say, clock=self.context.clock)
            for host, engine in self.context.watches.items()
        ]
        return [
            self._looks(),
            self._refs(),
            self._heartbeat(),
            self.notifier.run(),
            self._neighbours.run(),
            *(listener.run() for listener in listeners),
        ]

    async def _present(self, stack: AsyncExitStack) -> None:
        """Be the only one that watches this repository for this home; several repositories may be watched.

        Two would do no harm, each environment has its lock; they would do everything twice and say half of
        it each. Raises OutsideError `controller-running`.
        """
        slug = self.source.watched.slug
        try:
            await stack.enter_async_context(
                locked(
                    self.context.home.run,
                    f"controller-{slug}",
                    clock=self.context.clock,
                    purpose=f"controller run of {slug}",
                    deadline_seconds=0,
                )
            )
        except OutsideError as error:
            if error.code != LOCKED:
                raise
            raise OutsideError(
                CONTROLLER_RUNNING,
                f"another controller watches {slug} for the home {self.context.home.root}",
                why=error.why,
                next="end that one first, or name another home with --home DIR",
            ) from error

    async def _end(self, loops: list[asyncio.Task[None]]) -> None:
        """Take no new work, finish the work under way within the grace, then leave the rest to the log."""
        self.queues.close()
        notices = loops.pop(3)
        await _cancelled(loops)
        if self.queues.working:
            self.say(f"ending: finishing {', '.join(self.queues.working)} (up to {self.grace_seconds:g} s)")
        try:
            async with asyncio.timeout(self.grace_seconds):
                await self.queues.finished()
        except TimeoutError:
            self.say(f"not finished: {', '.join(self.queues.working)}; the next start goes on with it")
            await self.queues.cancel()
        if not notices.done():
            await self.notifier.flush(seconds=_FLUSH_SECONDS)
        await _cancelled([notices])
        loops.insert(3, notices)
        self.say("ended")

    async def _poll(self) -> None:
        self.want_look("poll")

    async def _looks(self) -> None:
        while True:
            await self._look_wanted.wait()
            self._look_wanted.clear()
            await self.look()

    async def _refs(self) -> None:
        async for _ in follow_refs(self.url, self.source.branch, clock=self.context.clock, say=self.say):
            self.want_look("refs changed")

    async def _heartbeat(self) -> None:
        """Monotonic, so that no jump of the wall clock stops it: passes, staleness, a lost poll."""
        clock, poll = self.context.clock, self.settings.poll
        interval = self.settings.passes.interval
        next_pass = clock.monotonic() + interval
        while True:
            await clock.sleep(min(_LONGEST_BEAT_SECONDS, interval, poll.stale_after))
            for name in self._schedule.recheck():
                self.say(f"the clock was set back; the {name} was planned anew")
                self.want_look("clock")
            self._freshness.check()
            if clock.monotonic() >= next_pass:
                next_pass = clock.monotonic() + interval
                self.want_look("pass")
                self._wake_all("pass")

    def _wake_all(self, reason: str) -> None:
        for title in self.source.titles():
            self.queues.wake(title, reason)

    async def look(self) -> None:
        """Look at the branch once and wake what it concerns."""
        if not self._looked:
            self._freshness.remember()
            for title in self.source.titles():
                self._afterwards.remember(title)
        found = await self.source.look()
        first, self._looked = not self._looked, True
        if found.status == "unreachable":
            self._freshness.not_answered(found.error)
        else:
            self._freshness.answered(found.error)
        if found.status == "unusable" and found.error is not None:
            for title in self.source.titles():
                self._afterwards.unusable(title, found.error)
        if found.status == "seen" and found.changed and self.source.latest is not None:
            self.say(f"{self.source.branch} is at {self.source.latest.revision[:12]}")
            self._wake_all("new commit")
        elif first:
            self._wake_all("start")

    async def _work(self, title: str, reasons: tuple[str, ...]) -> None:
        """Consider one environment, whatever woke it, and see to what follows."""
        self.whisper(f"{title}: considered: {', '.join(reasons)}")
        started = self.context.clock.monotonic()
        try:
            self._afterwards.remember(title)
            outcome = await self._consider(title)
            self._afterwards.see_to(outcome, started=started)
            self._wake_at_expiry(title)
            settling = [] if outcome.healed else self._settling.pop(title, [])
            if settling:
                self._settling[title] = settling[1:]
                seconds = max(settling[0], self._wait_seconds(title))
                self.queues.wake_later(title, "settling", seconds=seconds)
        except StagecraftError as error:
            failure = Failure.from_error(error)
            self._afterwards.failed(Outcome(environment=title, status="failed", failure=failure))
        except Exception as error:  # noqa: BLE001  # a bug in one environment's work must not stop the others
            words = f"{type(error).__name__}: {error}"
            broke = InternalError(WORK_BROKE, f"the work on {title} broke", why=words)
            failure = Failure.from_error(broke)
            self._afterwards.failed(Outcome(environment=title, status="failed", failure=failure))
        finally:
            self._neighbours.worked(title)

    def _wake_at_expiry(self, title: str) -> None:
        """A hold or a suspend that ends by itself is ended in time; an earlier wake-up sets this again."""
        project, _, name = title.partition("/")
        seconds = seconds_to_expiry(self.context, self.context.environment(project, name))
        if seconds is not None:
            self.queues.wake_later(title, "expiry", seconds=seconds)

    async def _consider(self, title: str) -> Outcome:
        project, _, name = title.partition("/")
        with self.source.shown(title) as sighting:
            if sighting is not None and title in sighting.gone_here:
                return await consider_gone(self.context, sighting, title)
            if sighting is not None:
                return await consider(self.context, sighting, name)
        return await keep(self.context, project, name)


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
