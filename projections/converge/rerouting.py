"""Having gateways do as people want of requests, and counting what is still open to what gets none.

Nothing is changed on a host but what its gateway is told. Containers run on, and so do open connections.
"""

from __future__ import annotations

from events.draining import Drained
from events.kernel.errors import OutsideError, Where
from events.manifest import Manifest
from events.recorder import Recorder
from projections.converge.abreast import abreast
from projections.converge.failures import HOST_UNKNOWN
from projections.converge.gateways import GATEWAY_NOT_TOLD
from projections.converge.heal import Terms, all_jobs
from projections.converge.site import Equipment
from projections.converge.switch import Switchboard
from projections.converge.undertaking import Undertaking
from projections.converge.wiring import Terms as Traffic
from projections.converge.wiring import switchboard_of

_REASON = "people hold other requests back than before"


async def reroute(
    equipment: Equipment, manifest: Manifest, *, release: str, terms: Terms, recorder: Recorder
) -> None:
    """Have each gateway do as deployed but for what is drained, and confirm it; a silent host is left out.

    `release` is the deployed Release. Raises what `Switchboard.reconcile` raises, and the first error of a
    host that says more than that it is silent.
    """
    undertaking = Undertaking(
        equipment=equipment,
        manifest=manifest,
        recorder=recorder,
        release=release,
        succeeded_jobs=all_jobs(manifest),
        known=manifest,
        lets_be=True,
        stopped=terms.stopped,
        kept=terms.kept,
        traffic=Traffic(drained_hosts=terms.drained_hosts, drained_services=terms.drained_services),
    )
    if undertaking.board is None:
        raise OutsideError(
            GATEWAY_NOT_TOLD,
            "the gateway is of a kind that nobody here speaks with",
            where=Where(environment=f"{manifest.project}/{manifest.environment}"),
            next=f"stagecraft config check --env {manifest.environment}",
        )
    planned, failed = await abreast(manifest.hosts, undertaking.observe)
    for error in failed.values():
        if error.code not in HOST_UNKNOWN:
            raise error
    await undertaking.reconcile(planned, reason=_REASON, asks_all=True)


async def open_connections(
    equipment: Equipment, manifest: Manifest, *, drained: Drained, recorder: Recorder
) -> int | None:
    """Connections that gateways have to what is drained; None: nobody here can see all of them."""
    board = switchboard_of(
        equipment, manifest, known=manifest, recorder=recorder, release="", terms=Traffic()
    )
    if board is None:
        return None
    found: list[int | None] = []
    try:
        for host in sorted(manifest.hosts):
            for service in board.layout.routing.routed:
                if drained.leaves_out(host, service) and board.passes_on(host, service):
                    found += await _open_to(board, host, service)
    except (OSError, OutsideError):
        return None
    seen = [one for one in found if one is not None]
    return sum(seen) if len(seen) == len(found) else None


async def _open_to(board: Switchboard, host: str, service: str) -> list[int | None]:
    """By container of a service on a host, how many are open. Raises what its engine and transport raise."""
    site = board.sites[host]
    containers = [
        one
        for one in await site.containers(site.compose_project)
        if site.owner.owns(one) and one.service == service and not one.one_off and one.state == "running"
    ]
    return [await drain.left() for drain in await board.drains(host, service, containers)]
