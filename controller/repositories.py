"""A repository that the operator watches: its name in streams and its mirror, and what is watched of it.

That is a branch, or the tags in a range of versions, which are followed like one: `Branch` in names stands
for both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from controller.branch_keys import BranchKey, Rivals
from events.refs import branch_ref, tags_ref
from events.streams import LOCAL_HOST
from gitops.source.address import check_address, shown_address, slug
from gitops.source.mirror import Mirror
from gitops.source.ssh import AS_THE_USER, SshAccess
from gitops.source.trust import Verification
from gitops.source.webhook import HookKind

if TYPE_CHECKING:
    from pathlib import Path

    from controller.home import Home
    from gitops.source.submodules import Superproject
    from gitops.source.versions import VersionRange


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One watched repository."""

    slug: str
    mirror: Mirror
    url: str = field(repr=False)  # as Git takes it; may hold credentials

    @property
    def shown(self) -> str:
        """The address without its credentials."""
        return shown_address(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchRules:
    """What the operator lets a watched branch do; the defaults are those of `controller.yml`."""

    entry: str = ""  # where that stands, as in `repositories[1]`; empty: it is not listed
    hosts: tuple[str, ...] = (LOCAL_HOST,)  # globs of the names of hosts
    allow_rewrite: bool = False
    webhooks: tuple[tuple[HookKind, str], ...] = ()  # each with the variable that has its secret
    verification: Verification = field(default_factory=Verification)  # which commits are trusted
    submodules: Superproject | None = None  # whose submodules are read; None: they are not
    rivals: Rivals | None = None  # None: none is listed, so all that the log knows may own an environment

    def bars(self, host: str) -> bool:
        """Whether nothing of the branch may run on `host`."""
        return not any(fnmatchcase(host, glob) for glob in self.hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedBranch:
    """One watched branch; branches of one repository share its mirror."""

    watched: Watched
    branch: str = ""  # which may be fully qualified
    tags: VersionRange | None = None  # watched in place of a branch
    environments: tuple[str, ...] = ()  # as asked for; empty: all
    interval_seconds: float | None = None  # between two questions; None: as the settings say
    follow: bool = True  # the files of a repository on this machine
    rules: BranchRules = BranchRules()

    @property
    def key(self) -> BranchKey:
        """Its name in the log."""
        ref = branch_ref(self.branch) if self.tags is None else tags_ref(self.tags.text)
        return BranchKey(self.watched.slug, ref)


def watched(home: Home, url: str, *, cwd: Path, ssh: SshAccess = AS_THE_USER) -> Watched:
    """The repository at `url`; a path is taken from the current folder, so it means the same from everywhere.

    Raises UserError `repository-url-refused`.
    """
    check_address(url)
    local = cwd / url
    address = str(local.resolve()) if _exists(local) else url
    name = slug(address)
    mirror = Mirror(address, home.mirrors / f"{name}.git", ssh=ssh)
    return Watched(slug=name, mirror=mirror, url=address)


def _exists(path: Path) -> bool:
    """Whether something is at `path`; nothing is at a path that no file system takes."""
    try:
        return path.exists()
    except OSError:
        return False
