"""Whether containers that have to go are replaced side by side or in their place: from what is there; pure.

The definition decides, and the project's word (`events.rollout`). Two things show on an engine alone. Where
nothing of a service runs nobody waits, so there is nothing to be beside. And a container may keep something
in a volume that only its image declares: it goes along when Compose replaces the container in its place, and
would go with the old one otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from events.manifest import HostManifest
from events.rollout import rollout_of
from projections.converge.conflicts import replicas
from projections.converge.operations import Operation
from projections.engine.port import Container

OF_THE_IMAGE = "volume that the image declares, which a new container does not get"
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")  # how an engine names a volume that nobody named
_RUNNING = frozenset({"running", "restarting"})


def exchange(
    name: str,
    content: HostManifest,
    *,
    present: Sequence[Container],
    going: Sequence[Container],
    reason: str,
    host: str,
) -> Operation:
    """The replacement of `going`; in their place Compose replaces all that is `present` of the service.

    Side by side, what does not run goes first: Compose would start it again.
    """
    definitions: Mapping[str, Mapping[str, Any]] = content.compose["services"]
    asked = content.services[name].rollout
    because = rollout_of(name, definitions, asked=asked).because
    if not because and asked is None and any(map(has_anonymous_volume, going)):
        because = (OF_THE_IMAGE,)
    answers = any(one.state in _RUNNING for one in present)
    beside = answers and not because and replicas(definitions[name]) > 0
    return Operation(
        kind="replace",
        host=host,
        service=name,
        reason=reason,
        containers=tuple(one.id for one in (going if beside else present)),
        removes_first=tuple(one.id for one in present if beside and one.state not in _RUNNING),
        strategy="start-first" if beside else "stop-first",
        because=because if answers else (),
    )


def has_anonymous_volume(container: Container) -> bool:
    """Whether it keeps something in a volume that nobody named."""
    return any(_ANONYMOUS.fullmatch(name) for name in container.volumes)
