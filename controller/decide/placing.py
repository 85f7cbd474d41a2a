"""What verdicts say of what is deployed and of what some hosts are to run; see `events.placing`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from events.catalog.release import ReleaseFailed
from events.placing import after_failure, after_partial

if TYPE_CHECKING:
    from controller.decide.state import EnvironmentState
    from events.catalog.release import ReleaseCompleted, ReleaseRolledBack


def completed(event: ReleaseCompleted, state: EnvironmentState) -> EnvironmentState:
    """The state after a Release completed."""
    release = state.releases[event.release]
    if not release.scope:
        return replace(state, deployed=release.id, placed={})
    render = state.render_of(event.digest)
    placed = after_partial(
        state.placed,
        state.deployed_digest,
        digest=event.digest,
        scope=release.scope,
        hosts=event.hosts if render is None else render.services,
    )
    if placed is None:
        return replace(state, deployed=release.id, placed={})
    partial = {**state.releases, release.id: replace(release, partial=True)}
    return replace(state, releases=partial, placed=placed)


def failed(event: ReleaseFailed | ReleaseRolledBack, state: EnvironmentState) -> EnvironmentState:
    """The state after a Release failed."""
    ends = {host: (one.status, one.digest) for host, one in event.hosts.items()}
    stays = isinstance(event, ReleaseFailed) and event.stays
    return replace(state, placed=after_failure(state.placed, state.deployed_digest, ends, stays=stays))
