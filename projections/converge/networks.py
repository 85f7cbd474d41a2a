"""A network whose options changed: Compose makes it anew, and cannot while containers are on it.

Compose stops and disconnects those it was asked to change and fails on the others; what is left runs without
any network and looks healthy. So every container of ours on such a network is removed first, and all of
their services are created again on the new one. A container of somebody else on it is a reason to refuse
before anything is touched: it would keep the old network alive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from events.kernel.errors import OutsideError, Where, error_code
from projections.converge.operations import HostPlan, Operation
from projections.converge.site import Site
from projections.engine.port import Container

NETWORK_IN_USE = error_code(
    "network-in-use", "A network has to be made anew and a container of somebody else is on it."
)
RENEWED = "its network is made anew"


def renewing(plan: HostPlan, containers: Iterable[Container], networks: Collection[str]) -> HostPlan:
    """The plan with every service on one of `networks` (engine names) removed first and created again.

    `containers` are ours on the host. Without such a network it is the same plan.
    """
    on_them: dict[str, list[str]] = {}
    for container in containers:
        if set(networks) & set(container.networks):
            on_them.setdefault(container.service or "", []).append(container.id)
    if not on_them:
        return plan
    removed_anyway = {operation.service for operation in plan.of("remove")}
    first = tuple(
        Operation(
            kind="remove",
            host=plan.host,
            service=service,
            reason=RENEWED,
            containers=tuple(sorted(ids)),
            clears_way=True,
        )
        for service, ids in sorted(on_them.items())
        if service not in removed_anyway
    )
    rising = {operation.service for operation in plan.of("create", "replace", "start")}
    needless = {*on_them} & rising  # who begins anew is told of nothing
    kept = [one for one in plan.operations if one.kind != "reload" or one.service not in needless]
    return HostPlan(host=plan.host, operations=(*(_renewed(one, on_them) for one in kept), *first))


def _renewed(operation: Operation, on_them: Collection[str]) -> Operation:
    """What becomes of an operation on a service whose containers go first."""
    if operation.service not in on_them:
        return operation
    if operation.kind == "remove":
        return replace(operation, clears_way=True)
    if operation.kind in ("keep", "start", "reload"):
        return replace(operation, kind="create", reason=RENEWED, containers=())
    if operation.kind == "replace":
        return replace(operation, kind="create", containers=(), removes_first=())
    return operation


async def refuse_strangers(site: Site, networks: Collection[str]) -> None:
    """Raises OutsideError `network-in-use` when a container that is not ours is on one of `networks`."""
    if not networks:
        return
    for container in await site.containers():
        if set(networks) & set(container.networks) and not site.owner.owns(container):
            raise OutsideError(
                NETWORK_IN_USE,
                f"the container {container.name} is on a network that has to be made anew",
                where=Where(environment=site.environment, host=site.host),
                why=f"networks: {', '.join(sorted(set(networks) & set(container.networks)))}",
                next=f"docker network disconnect NETWORK {container.name}, or take the network's change back",
            )
