"""Which Manifest each host is to run where that is not the deployed one: after a Release of some hosts only.

*Deployed* is one Manifest for all hosts, and changes only when every host of it is to run it: after a Release
of all hosts, or of the last hosts that lacked it. Until then what a Release of some hosts brought is noted
host by host. So is what a failed Release left where the descriptor says that nothing more is changed then: a
host with parts of two Manifests is nobody's to heal until a Release, or a person, says what it is to run.

A host counts as having a Manifest when a Release of it completed, also where the host itself was silent or
failed: it is to run it, and healing brings it there. Pure, from the verdicts alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from events.catalog.release import ReleaseFailed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from controller.decide.state import EnvironmentState
    from events.catalog.release import HostVerdict, ReleaseCompleted, ReleaseRolledBack


def completed(event: ReleaseCompleted, state: EnvironmentState) -> EnvironmentState:
    """The state after a Release completed, with what is deployed and placed now."""
    release = state.releases[event.release]
    if not release.scope:
        return replace(state, deployed=release.id, placed={})
    placed = {**state.placed, **dict.fromkeys(release.scope, event.digest)}
    hosts = _hosts_of(state, event.digest) or event.hosts.keys()
    if all(placed.get(host, state.deployed_digest) == event.digest for host in hosts):
        return replace(state, deployed=release.id, placed={})
    partial = replace(release, partial=True)
    return replace(
        state,
        releases={**state.releases, release.id: partial},
        placed=_without(placed, state.deployed_digest),
    )


def failed(event: ReleaseFailed | ReleaseRolledBack, state: EnvironmentState) -> EnvironmentState:
    """The state after a Release failed: what went back is placed again, what stays as it is too."""
    stays = isinstance(event, ReleaseFailed) and event.stays
    changed = {
        host: one.digest
        for host, one in event.hosts.items()
        if one.status == "restored" or (stays and _is_left(one))
    }
    if state.deployed is None or not changed:
        return state
    return replace(state, placed=_without({**state.placed, **changed}, state.deployed_digest))


def _is_left(verdict: HostVerdict) -> bool:
    """Whether a host has something of the Release that failed."""
    return verdict.status in ("completed", "failed", "unknown")


def _hosts_of(state: EnvironmentState, digest: str) -> Collection[str]:
    render = state.render_of(digest)
    return () if render is None else render.services.keys()


def _without(placed: Mapping[str, str | None], deployed: str | None) -> dict[str, str | None]:
    """Only what is not the deployed one."""
    return {host: digest for host, digest in sorted(placed.items()) if digest != deployed}
