"""A repository that the operator watches: its name in streams and its mirror, and a branch of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from gitops.source.address import check_address, slug
from gitops.source.mirror import Mirror

if TYPE_CHECKING:
    from pathlib import Path

    from controller.home import Home

HEADS = "refs/heads/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One watched repository."""

    slug: str
    mirror: Mirror
    url: str = field(repr=False)  # as Git takes it; may hold credentials


class BranchKey(NamedTuple):
    """Which branch of which repository, as the log names both."""

    slug: str
    ref: str  # fully qualified

    def __str__(self) -> str:
        return f"{self.ref.removeprefix(HEADS)} of {self.slug}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedBranch:
    """One watched branch; branches of one repository share its mirror."""

    watched: Watched
    branch: str
    environments: tuple[str, ...] = ()  # as asked for; empty: all
    interval_seconds: float | None = None  # between two questions; None: as the settings say
    follow: bool = True  # the files of a repository on this machine

    @property
    def key(self) -> BranchKey:
        """Its name in the log."""
        return BranchKey(self.watched.slug, f"{HEADS}{self.branch.removeprefix(HEADS)}")


def watched(home: Home, url: str, *, cwd: Path) -> Watched:
    """The repository at `url`; a path is taken from the current folder, so it means the same from everywhere.

    Raises UserError `repository-url-refused`.
    """
    check_address(url)
    local = cwd / url
    address = str(local.resolve()) if _exists(local) else url
    name = slug(address)
    return Watched(slug=name, mirror=Mirror(address, home.mirrors / f"{name}.git"), url=address)


def _exists(path: Path) -> bool:
    """Whether something is at `path`; nothing is at a path that no file system takes."""
    try:
        return path.exists()
    except OSError:
        return False
