"""Other repositories that an environment's Compose files may name: what policy lists, kept in the home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.config.policy import remotes_allowed_by
from gitops.source.pinned import PinnedRemotes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.home import Home
    from gitops.config.policy import PolicySection


def pinned_remotes(
    home: Home, policy: Mapping[str, PolicySection], *, project: str, environment: str
) -> PinnedRemotes:
    """What brings them, to be closed; the home is made when the first one is fetched."""
    allowed = remotes_allowed_by(policy, project=project, environment=environment)
    return PinnedRemotes(home.mirrors, allowed, ready=home.create)
