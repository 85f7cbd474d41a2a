"""One watched branch: what it showed last, and what to think of a source that does not answer.

A look asks the repository, records a commit that is new, and keeps the sighting for the environments'
workers, which open the mirror for themselves. While the source fails the last sighting stands. While its
newest commit is refused or cannot be used, what is deployed is kept running without Git: an older commit is
not what the branch says, also one that was taken and still waits for something. So a process that was just
started, which knows no older commit, does the same.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from controller.context import Context
from controller.heads import Head
from controller.look import note_looks
from controller.repositories import WatchedBranch
from controller.watching import (
    Sighting,
    Wishes,
    fetch_tip,
    head_of,
    healed,
    note_answer,
    see,
    shared_out,
)
from events.kernel.errors import OutsideError, StagecraftError
from events.log import VERSION_CONFLICT

_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLook:
    """What one look found. `unusable`: the branch answered, but its commit is not taken."""

    status: Literal["seen", "unusable", "unreachable"]
    changed: bool = False  # it shows another commit, or the same for other environments, than before
    error: StagecraftError | None = None


@dataclass(slots=True, kw_only=True)
class Source:
    """A branch and what it showed last."""

    context: Context
    place: WatchedBranch
    config_path: str
    only: Sequence[str] = ()  # of the branch's environments, those to consider; empty: all
    latest: Sighting | None = None
    looked: bool = False  # it was asked once, whatever came of it
    _unusable: bool = False  # the newest commit is not the latest sighting

    async def look(self, *, thorough: bool = False) -> SourceLook:
        """Ask once; never raises for what the source or its commit is at fault for.

        A branch that has not moved costs the question alone. A `thorough` look also sees whether the mirror
        still has the commit.
        """
        try:
            for _ in range(_TRIES):
                try:
                    return await self._look(thorough=thorough)
                except OutsideError as error:
                    if error.code != VERSION_CONFLICT:  # somebody else said it first: look again
                        raise
            return SourceLook(status="seen")
        finally:
            self.looked = True

    async def _look(self, *, thorough: bool) -> SourceLook:
        try:
            head = await head_of(self.place)
            if not thorough and self._stands(head):
                note_answer(self.context, self.place)
                return self._again()
            tip = await fetch_tip(self.context, self.place, head)
        except StagecraftError as error:
            if error.code == VERSION_CONFLICT:
                raise
            return SourceLook(status="unreachable", error=error)
        note_answer(self.context, self.place)
        with tip.repository:
            try:
                sighting = await see(
                    self.context,
                    tip,
                    config_path=self.config_path,
                    wishes=self._wishes,
                    rules=self.place.rules,
                )
            except StagecraftError as error:
                if error.code == VERSION_CONFLICT:
                    raise
                if await healed(self.context, self.place, error):
                    return await self._look(thorough=True)
                self._unusable = True
                self.context.observed.note_look(*self.titles(), at=self.context.clock.now())
                return SourceLook(status="unusable", error=error)
        return self._seen(sighting)

    @property
    def _wishes(self) -> Wishes:
        return Wishes(environments=self.place.environments, only=self.only)

    def _stands(self, head: Head) -> bool:
        """Whether the last sighting is of this very commit, which the log too has as the branch's newest."""
        latest, place = self.latest, self.place
        now = (head.revision, head.name)
        if latest is None or self._unusable or not place.watched.mirror.made:
            return False
        known = self.context.branches.of(self.context.log, place.key)
        taken = (latest.revision, latest.tag) == (known.revision, known.tag) == now and known.rejected is None
        return taken and known.accepted(head.revision, place.rules.verification, tag=head.name)

    def _again(self) -> SourceLook:
        """The last sighting, with the environments that are the branch's now."""
        if self.latest is None:
            raise AssertionError("only a sighting that stands is taken again")
        return self._seen(shared_out(self.context, self.place.key, self.latest, self._wishes))

    def _seen(self, sighting: Sighting) -> SourceLook:
        note_looks(self.context, sighting)
        before, self.latest = self.latest, sighting
        if before is None or before.left_out != sighting.left_out:
            for words in sighting.left_out_words():
                self.context.progress(words)
        changed = (
            before is None
            or self._unusable
            or (before.revision, before.titles) != (sighting.revision, sighting.titles)
        )
        self._unusable = False
        return SourceLook(status="seen", changed=changed)

    def titles(self) -> list[str]:
        """The environments of this branch, `<project>/<name>`, by its last sighting, else by the log."""
        if self.latest is not None:
            return self.latest.titles
        context, key = self.context, self.place.key
        others = context.branches.others(context.log, key, among=self.place.rules.rivals)
        known = context.branches.of(context.log, key).environments
        return sorted(title for title in known if title not in others and self._wishes.wanted(title))

    @contextmanager
    def shown(self, title: str) -> Generator[Sighting | None]:
        """The last sighting with a tree that can be read; None when it does not have this environment."""
        latest = self.latest
        if latest is None or self._unusable or title not in latest.titles:
            yield None
            return
        with self.place.watched.mirror.repository() as repository:
            yield replace(latest, tree=latest.tree.through(repository))
