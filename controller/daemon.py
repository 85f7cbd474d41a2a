"""The loop that runs by itself: hints wake it, looks decide.

One asyncio loop. Each watched branch is looked at when a push is noticed, when its poll is due and at each
pass (`branch_watch.py`); what its environments need is seen to by `keeper.py`. A hint that is lost costs
time until the next poll or pass, no more.

A bug in the daemon itself ends the process with an error, because a loop that only seems to run is worse
than one that ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from controller.api.hooks import Door, Hooks
from controller.api.server import Server
from controller.branch_watch import BranchWatch
from controller.context import Context
from controller.keeper import Keeper
from controller.listeners import Listeners
from controller.locks import LOCKED, locked
from controller.notify import Notifier
from controller.retention import forget_old_images
from controller.schedule import Schedule
from controller.seal_places import SealPlace
from controller.sealing import Sealing
from controller.self_audit import SelfAudit
from controller.source import Source
from events.kernel.errors import OutsideError, StagecraftError, error_code
from gitops.config.controller import ControllerFile

CONTROLLER_RUNNING = error_code(
    "controller-running", "Another process watches the same repository for the same home already."
)

_LONGEST_BEAT_SECONDS = 15.0
_FLUSH_SECONDS = 3.0


@dataclass(slots=True, kw_only=True)
class Daemon:
    """Watches branches and keeps their environments; belongs to one event loop."""

    context: Context
    sources: Sequence[Source]  # at least one
    settings: ControllerFile
    say: Callable[[str], None]  # what happened, one line
    whisper: Callable[[str], None]  # what woke it
    grace_seconds: float = 60.0  # for the work under way when it is asked to end
    door: Door | None = None  # where webhooks are taken
    seal_places: Sequence[SealPlace] = ()  # where seals go
    notifier: Notifier = field(init=False)
    keeper: Keeper = field(init=False)
    watches: tuple[BranchWatch, ...] = field(init=False)
    _schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        self.notifier = Notifier(settings=self.settings.notify, say=self.say)
        self.keeper = Keeper(
            context=self.context,
            sources=self.sources,
            say=self.say,
            whisper=self.whisper,
            tell=self.notifier.tell,
        )
        self.watches = tuple(self._watch(source) for source in self.sources)

    def _watch(self, source: Source) -> BranchWatch:
        return BranchWatch(
            context=self.context,
            source=source,
            poll=self.settings.poll,
            schedule=self._schedule,
            say=self._naming(source, self.say),
            whisper=self._naming(source, self.whisper),
            tell=self.notifier.tell,
            wake=self.keeper.news,
            remember=self.keeper.afterwards.remember,
            unusable=self.keeper.afterwards.unusable,
        )

    def _naming(self, source: Source, say: Callable[[str], None]) -> Callable[[str], None]:
        """`say`, beginning with the branch where there are several."""
        key = source.place.key
        return say if len(self.sources) == 1 else lambda text: say(f"{key}: {text}")

    async def run(self, stopping: asyncio.Event) -> None:
        """Keep the environments until `stopping` is set, then finish what is under way.

        Raises OutsideError `controller-running` before it does anything, and what a broken loop raised: the
        process should end and be started again.
        """
        async with AsyncExitStack() as stack:
            for slug in sorted({source.place.watched.slug for source in self.sources}):
                await self._present(stack, slug)
            self._schedule.start()
            loops = [asyncio.create_task(one) for one in self._loops()]
            notices = asyncio.create_task(self.notifier.run())
            self.want_look("start")
            stop = asyncio.create_task(stopping.wait())
            try:
                await asyncio.wait([stop, *loops, notices], return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._schedule.stop()
                stop.cancel()
                await self._end(loops, notices)
            for loop in (*loops, notices):
                if not loop.cancelled():
                    loop.result()

    def want_look(self, reason: str, *, thorough: bool = False) -> None:
        """Look at all branches, each as soon as its look under way is over."""
        for watch in self.watches:
            watch.want_look(reason, thorough=thorough)

    def _loops(self) -> list[Coroutine[Any, Any, None]]:
        listeners = Listeners(
            watches=self.context.watches, hear=self.keeper.hear, say=self.say, clock=self.context.clock
        )
        return [
            *(watch.looks() for watch in self.watches),
            *(watch.refs() for watch in self.watches if watch.source.place.follow),
            self._heartbeat(),
            self._old_images(),
            self.keeper.neighbours.run(),
            Sealing(
                context=self.context, settings=self.settings.seals, places=self.seal_places, say=self.say
            ).run(),
            SelfAudit(context=self.context, say=self.say).run(),
            listeners.run(),
            *([] if self.door is None else [self._take_hooks(self.door)]),
        ]

    async def _take_hooks(self, door: Door) -> None:
        """Answer deliveries of Git hosts; each wakes the watches of one repository."""

        def wake(slug: str, reason: str) -> None:
            for watch in self.watches:
                if watch.key.slug == slug:
                    watch.want_look(reason)

        hooks = Hooks(secrets=door.secrets, wake=wake, clock=self.context.clock, say=self.say)
        server = Server(routes=hooks.routes(), listening=door.listening)
        for slug, kinds in sorted(door.secrets.items()):
            for kind in sorted(kinds):
                self.say(f"webhooks of {slug} are taken at http://{server.address}/hooks/{kind}/{slug}")
        await server.run()

    async def _present(self, stack: AsyncExitStack, slug: str) -> None:
        """Be the only one that watches this repository for this home; several repositories may be watched.

        Two would do no harm, each environment has its lock; they would do everything twice and say half of
        it each. Raises OutsideError `controller-running`.
        """
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

    async def _end(self, loops: list[asyncio.Task[None]], notices: asyncio.Task[None]) -> None:
        """Take no new work, finish the work under way within the grace, then leave the rest to the log."""
        queues = self.keeper.queues
        queues.close()
        await _cancelled(loops)
        await self.keeper.besides.queues.cancel()
        await self.keeper.watches.close()
        if queues.working:
            self.say(f"ending: finishing {', '.join(queues.working)} (up to {self.grace_seconds:g} s)")
        try:
            async with asyncio.timeout(self.grace_seconds):
                await queues.finished()
        except TimeoutError:
            self.say(f"not finished: {', '.join(queues.working)}; the next start goes on with it")
            await queues.cancel()
        if not notices.done():
            await self.notifier.flush(seconds=_FLUSH_SECONDS)
        await _cancelled([notices])
        self.say("ended")

    async def _heartbeat(self) -> None:
        """Monotonic, so that no jump of the wall clock stops it: passes, staleness, a lost poll."""
        clock, poll = self.context.clock, self.settings.poll
        interval = self.settings.passes.interval
        next_pass = clock.monotonic() + interval
        while True:
            await clock.sleep(min(_LONGEST_BEAT_SECONDS, interval, poll.stale_after))
            late = set(self._schedule.recheck())
            for watch in self.watches:
                if watch.job in late:
                    self.say(f"the clock was set back; the {watch.job} was planned anew")
                    watch.want_look("clock")
                watch.freshness.check()
            if clock.monotonic() >= next_pass:
                next_pass = clock.monotonic() + interval
                self.want_look("pass", thorough=True)
                self.keeper.wake_all("pass")

    async def _old_images(self) -> None:
        """Let old images go at each pass; what hinders it is said and no reason to end."""
        while True:
            await self.context.clock.sleep(self.settings.passes.interval)
            try:
                gone = await forget_old_images(self.context)
            except StagecraftError as error:
                self.say(f"old images are left for the next pass: {error.message}")
            else:
                for one in gone:
                    self.say(f"{one.host}: {len(one.names)} old images are not kept any more")

    async def look(self) -> None:
        """Look at all branches once and wake what they concern."""
        for watch in self.watches:
            await watch.look()


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
