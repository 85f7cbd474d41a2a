"""Which hosts something of ours runs on or is to run on, and in which roles, by what is recorded.

What counts of an environment is the Manifest that is deployed and the one that Git shows: a host that either
names is listened to and listed. Which hosts a Manifest names is in the log; roles are in the Manifest itself,
whose bytes are read only by who lists them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from controller.targets import known_targets
from events.kernel.errors import OutsideError
from events.manifest import Manifest
from events.streams import environment_stream

if TYPE_CHECKING:
    from controller.decide.state import EnvironmentState
    from controller.host_registry import Roles
    from controller.states import States
    from events.blobs import BlobStore
    from events.log import EventLog


class UsedHosts:
    """`used_hosts` of one log, looked for again only when something was recorded; threads may share it."""

    def __init__(self, log: EventLog, states: States) -> None:
        self._log = log
        self._states = states
        self._found: tuple[int, frozenset[str]] = (-1, frozenset())

    def __call__(self) -> frozenset[str]:
        """The hosts as of now."""
        head, found = self._log.head(), self._found
        if found[0] != head:
            self._found = found = (head, used_hosts(self._log, self._states))
        return found[1]


def used_hosts(log: EventLog, states: States) -> frozenset[str]:
    """The hosts that any environment is deployed to, or is to be."""
    found: set[str] = set()
    for target in known_targets(log):
        state = states.of(log, environment_stream(target.project, target.name))
        for digest in digests(state):
            render = state.render_of(digest)
            found.update(() if render is None else render.services)
    return frozenset(found)


def digests(state: EnvironmentState) -> tuple[str, ...]:
    """The Manifests that count of an environment: what is deployed, what Git shows, what is under way."""
    if state.destroyed is not None:
        return ()
    active = None if state.active is None else state.active.digest
    return tuple(dict.fromkeys(one for one in (state.deployed_digest, state.git.digest, active) if one))


def host_roles(log: EventLog, states: States, blobs: BlobStore) -> Roles:
    """By host and environment, the roles that Manifests give the host; one that cannot be read gives none."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for target in known_targets(log):
        state = states.of(log, environment_stream(target.project, target.name))
        for digest in digests(state):
            try:
                manifest = Manifest.decode(blobs.get(digest))
            except OutsideError:
                render = state.render_of(digest)
                for host in () if render is None else render.services:
                    found[host][str(target)].update(())
                continue
            for host, content in manifest.hosts.items():
                found[host][str(target)].update(one.role for one in content.services.values())
    return found
