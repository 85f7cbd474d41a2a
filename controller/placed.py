"""What the hosts of an environment are to run, as one Manifest, where some are not to run the deployed one.

It is made of the parts of recorded Manifests, a host each, for whoever looks at hosts or heals them. It is
never recorded, and nobody else learns its digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.context import Context
    from controller.decide.scope import Scope
    from controller.decide.state import EnvironmentState
    from events.manifest import Manifest


def hosts_named(context: Context, digest: str, scope: Scope | None) -> tuple[str, ...]:
    """The hosts of a recorded Manifest that a person wants a Release for, sorted; none: all of them.

    Raises UserError `scope-unknown`.
    """
    named = scope is not None and (scope.hosts or scope.roles)
    return scope.of(context.manifest(digest)) if scope is not None and named else ()


def wanted_manifest(context: Context, state: EnvironmentState) -> Manifest | None:
    """What each host is to run; without the hosts that have parts of two. None: nothing is deployed.

    Raises OutsideError `blob-missing` or `blob-damaged`.
    """
    return _placed(context, state, parts=False)


def former_manifest(context: Context, state: EnvironmentState) -> Manifest | None:
    """What a Release that fails goes back to: hosts that have parts of two go to the deployed one."""
    return _placed(context, state, parts=True)


def _placed(context: Context, state: EnvironmentState, *, parts: bool) -> Manifest | None:
    if state.deployed_digest is None:
        return None
    deployed = context.manifest(state.deployed_digest)
    if not state.placed:
        return deployed
    hosts = dict(deployed.hosts)
    for host, digest in state.placed.items():
        if digest is not None and (content := context.manifest(digest).hosts.get(host)) is not None:
            hosts[host] = content
        elif digest is not None or not parts:
            hosts.pop(host, None)
    return deployed.model_copy(update={"hosts": hosts})
