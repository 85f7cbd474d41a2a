"""Services that live in the container of another one join what a plan does to that one.

`sharing.py` says who lives where; here it meets the operations of a host.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from events.rollout import rollout_of
from projections.converge.operations import Operation
from projections.converge.sharing import SHARES_WITH, shared_with
from projections.engine.port import Container

CONTAINER_NUMBER = "com.docker.compose.container-number"


def with_sharers(
    operations: list[Operation],
    definitions: Mapping[str, Mapping[str, Any]],
    ours: Mapping[str, list[Container]],
) -> list[Operation]:
    """Whoever lives in a namespace or volumes of a container that goes is replaced with it, to any depth.

    Compose takes the container with the lowest number, so one that joins the others moves nobody.
    """
    host = next((operation.host for operation in operations), "")
    moving = {o.service for o in operations if _moves(o, ours.get(o.service, ()))}
    settled = {o.service for o in operations if o.kind in {"replace", "run_job"}}
    waiting = set(ours) - settled
    joined: list[Operation] = []
    while found := _next_sharer(waiting, moving, definitions):
        name, provider = found
        waiting.discard(name)
        moving.add(name)
        reason = f"{SHARES_WITH} {provider}"
        joined.append(
            Operation(
                kind="replace",
                host=host,
                service=name,
                reason=reason,
                containers=tuple(container.id for container in ours[name]),
                because=rollout_of(name, definitions, asked=None).because,
            )
        )
    replaced = {operation.service for operation in joined}
    kept = [operation for operation in operations if operation.service not in replaced]
    return sorted([*kept, *joined], key=lambda o: (o.service, o.kind))


def _next_sharer(
    waiting: Collection[str], moving: Collection[str], definitions: Mapping[str, Mapping[str, Any]]
) -> tuple[str, str] | None:
    """The first service that lives in one that moves, with that one."""
    for name in sorted(waiting):
        provider = next((one for one in shared_with(definitions[name]) if one in moving), None)
        if provider is not None:
            return name, provider
    return None


def _moves(operation: Operation, present: Iterable[Container]) -> bool:
    """Whether the container of a service that others share is another one afterwards.

    One that is missing may have been the shared one, unless the first is still there.
    """
    if operation.kind == "create":
        return all(container.labels.get(CONTAINER_NUMBER) != "1" for container in present)
    return operation.kind == "replace"
