"""Other repositories that a commit may name: what the operator lets it, kept in the home."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from gitops.policies import remotes_allowed_by
from gitops.source.address import slug
from gitops.source.pinned import PinnedCommits, PinnedRemotes
from gitops.source.submodules import Submodules

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from controller.home import Home
    from gitops.config.policy import PolicySection
    from gitops.remotes import Server
    from gitops.source.submodules import Superproject

_FOLDER = "submodules"


def pinned_remotes(
    home: Home, policy: Mapping[str, PolicySection], *, project: str, environment: str
) -> PinnedRemotes:
    """What brings them, to be closed; the home is made when the first one is fetched."""
    allowed = remotes_allowed_by(policy, project=project, environment=environment)
    return PinnedRemotes(home.mirrors, allowed, ready=home.create)


@contextmanager
def submodules_of(
    home: Home, parent: Superproject | None, *, allowed: Iterable[Server]
) -> Generator[Submodules | None]:
    """What brings the submodules of a repository; None where they are not to be read.

    Addresses on other servers are those that are `allowed` to Compose files.
    """
    if parent is None:
        yield None
        return
    folder = home.mirrors / _FOLDER / slug(parent.url)
    with PinnedCommits(folder, ready=home.create) as commits:
        yield Submodules(parent=parent, commits=commits, allowed=tuple(allowed))
