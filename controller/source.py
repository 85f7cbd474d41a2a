"""One watched branch: what it showed last, and what to think of a source that does not answer.

A look asks the repository, records a commit that is new, and keeps the sighting for the environments'
workers, which open the mirror for themselves. While the source fails the last sighting stands: what is
deployed is kept running without Git.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from controller.context import Context
from controller.look import note_looks
from controller.repositories import WatchedBranch
from controller.watching import Sighting, fetch_tip, fold_branch, see
from events.kernel.errors import OutsideError, StagecraftError
from events.log import VERSION_CONFLICT
from events.streams import repository_stream

_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLook:
    """What one look found. `unusable`: the branch answered, but its commit cannot be used."""

    status: Literal["seen", "unusable", "unreachable"]
    changed: bool = False  # it shows another commit, or the same in another state, than the look before
    error: StagecraftError | None = None


@dataclass(slots=True, kw_only=True)
class Source:
    """A branch and what it showed last."""

    context: Context
    place: WatchedBranch
    config_path: str
    latest: Sighting | None = None
    looked: bool = False  # it was asked once, whatever came of it

    async def look(self) -> SourceLook:
        """Ask once; never raises for what the source or its commit is at fault for."""
        try:
            for _ in range(_TRIES):
                try:
                    return await self._look()
                except OutsideError as error:
                    if error.code != VERSION_CONFLICT:  # somebody else said it first: look again
                        raise
            return SourceLook(status="seen")
        finally:
            self.looked = True

    async def _look(self) -> SourceLook:
        try:
            tip = await fetch_tip(self.context, self.place.watched, self.place.branch)
        except StagecraftError as error:
            if error.code == VERSION_CONFLICT:
                raise
            return SourceLook(status="unreachable", error=error)
        with tip.repository:
            try:
                sighting = await see(
                    self.context, tip, environments=self.place.environments, config_path=self.config_path
                )
            except StagecraftError as error:
                if error.code == VERSION_CONFLICT:
                    raise
                self.context.observed.note_look(*self.titles(), at=self.context.clock.now())
                return SourceLook(status="unusable", error=error)
        note_looks(self.context, sighting)
        before, self.latest = self.latest, sighting
        changed = before is None or before.revision != sighting.revision
        return SourceLook(status="seen", changed=changed)

    def titles(self) -> list[str]:
        """The environments of this branch, `<project>/<name>`, by its last sighting, else by the log."""
        if self.latest is not None:
            declared = [f"{self.latest.project}/{name}" for name in self.latest.environments]
            return [*declared, *self.latest.gone_here]
        slug, ref = self.place.key
        known = fold_branch(self.context.log.read_stream(repository_stream(slug)), ref).environments
        wanted = set(self.place.environments)
        return sorted(one for one in known if not wanted or {one, one.partition("/")[2]} & wanted)

    @contextmanager
    def shown(self, title: str) -> Generator[Sighting | None]:
        """The last sighting with a tree that can be read; None when it does not have this environment."""
        latest = self.latest
        if latest is None or title not in self.titles():
            yield None
            return
        with self.place.watched.mirror.repository() as repository:
            yield replace(latest, tree=latest.tree.through(repository))
