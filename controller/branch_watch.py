"""Watching one branch: when it is looked at, whether it answers, and whom its news concern.

There is one watch for each (repository, branch), however many environments it has: one poll, one look at a
time, one back-off. Watches share nothing that a branch which does not answer could hold up; each has its own
loops, and a look is processes and files of its own repository.

The first look comes before any hint about the branch's environments is taken: a hint would be met with what
the log knows, and a push that came while nobody watched would wait for the next look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.branch_keys import BranchKey
from controller.context import Context
from controller.freshness import Freshness
from controller.notify import Notice
from controller.schedule import Schedule
from controller.source import Source
from controller.wakeups import follow_refs
from events.kernel.errors import StagecraftError
from gitops.config.controller import PollSection


@dataclass(slots=True, kw_only=True)
class BranchWatch:
    """Looks at one branch whenever something hints that it should; belongs to one event loop."""

    context: Context
    source: Source
    poll: PollSection
    schedule: Schedule
    say: Callable[[str], None]
    whisper: Callable[[str], None]
    tell: Callable[[Notice], None]
    wake: Callable[[str, str], None]  # an environment, and why
    remember: Callable[[str], None]  # an environment, before the first look
    unusable: Callable[
        [str, StagecraftError], None
    ]  # an environment, and why its newest commit cannot be used
    freshness: Freshness = field(init=False)
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _thorough: bool = False  # the look that is wanted

    def __post_init__(self) -> None:
        interval = self.source.place.interval_seconds
        poll = self.poll if interval is None else self.poll.model_copy(update={"interval": interval})
        jitter = min(poll.jitter, poll.interval / 2)
        self.schedule.every(self.job, poll.interval, self._poll, jitter_seconds=jitter)
        self.freshness = Freshness(
            context=self.context,
            source=self.source,
            settings=poll,
            slow_down=lambda seconds: self.schedule.slow_down(self.job, seconds),
            as_usual=lambda: self.schedule.as_usual(self.job),
            say=self.say,
            tell=self.tell,
        )

    @property
    def key(self) -> BranchKey:
        """The branch."""
        return self.source.place.key

    @property
    def job(self) -> str:
        """The name of its poll in the schedule."""
        return f"poll of {self.key}"

    def want_look(self, reason: str, *, thorough: bool = False) -> None:
        """Look at the branch as soon as the look under way is over; `thorough` as for `Source.look`."""
        self.whisper(f"look at the branch: {reason}")
        self._thorough = self._thorough or thorough
        self._wanted.set()

    async def looks(self) -> None:
        """Look whenever that is wanted, for ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            thorough, self._thorough = self._thorough, False
            await self.look(thorough=thorough)

    async def refs(self) -> None:
        """Want a look at each push to a repository on this machine, for ever."""
        place = self.source.place
        if not place.follow:
            return
        async for _ in follow_refs(place.watched.url, place.key.ref, clock=self.context.clock, say=self.say):
            self.want_look("refs changed")

    async def look(self, *, thorough: bool = False) -> None:
        """Look at the branch once and wake what it concerns."""
        first = not self.source.looked
        if first:
            self.freshness.remember()
            for title in self.source.titles():
                self.remember(title)
        found = await self.source.look(thorough=thorough)
        if found.status == "unreachable":
            self.freshness.not_answered(found.error)
        else:
            self.freshness.answered(found.error)
        if found.status == "unusable" and found.error is not None:
            for title in self.source.titles():
                self.unusable(title, found.error)
        latest = self.source.latest
        if found.status == "seen" and found.changed and latest is not None:
            commit = latest.revision[:12] if latest.tag is None else f"{latest.tag} ({latest.revision[:12]})"
            self.say(f"{self.key.shown} is at {commit}")
            self._wake_all("new commit")
        elif first:
            self._wake_all("start")

    async def _poll(self) -> None:
        self.want_look("poll")

    def _wake_all(self, reason: str) -> None:
        for title in self.source.titles():
            self.wake(title, reason)
