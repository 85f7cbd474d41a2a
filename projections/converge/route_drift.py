"""What gateways were told and what they are to do, compared; nothing is changed and only hosts are asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from events.kernel.errors import OutsideError
from events.manifest import Manifest
from projections.converge.abreast import abreast
from projections.converge.backends import Layout, LeftOut, Seen, answering
from projections.converge.drift import PERSON, UNKNOWN, HostDrift, Row
from projections.converge.hosts import look
from projections.converge.site import Equipment, Site
from projections.converge.wiring import layout_of
from projections.edge.port import Backends, Told

FIELD = "route"
_SHORT_ID = 12


async def route_drift(
    equipment: Equipment, manifest: Manifest, found: Mapping[str, HostDrift], *, left_out: LeftOut
) -> dict[str, tuple[Row, ...]]:
    """By gateway's host, what it was told that is not as deployed; `found` is what hosts answered before.

    A host that does not answer any more has no rows.
    """
    layout = layout_of(equipment, manifest)
    if layout is None or equipment.edges is None:
        return {}
    answered = {host for host, one in found.items() if one.reachable}
    sites = {host: equipment.site(manifest, host) for host in answered}
    seen = await _seen(manifest, sites, found)
    rows: dict[str, tuple[Row, ...]] = {}
    for host in layout.gateways:
        if host not in answered:
            continue
        edge = equipment.edges.at(sites[host].place, layout.routing.gateway)
        if edge is not None:
            try:
                told = await edge.told()
            except (OSError, OutsideError) as error:
                rows[host] = (_row(host, layout.routing.gateway.service, "readable", str(error), UNKNOWN),)
            else:
                rows[host] = tuple(_rows(layout, host, told, seen=seen, left_out=left_out))
    return rows


async def _seen(manifest: Manifest, sites: Mapping[str, Site], found: Mapping[str, HostDrift]) -> Seen:
    there, _ = await abreast(sites, lambda host: look(sites[host]))
    return Seen(
        answering={
            host: answering(manifest.hosts[host], containers, owner=sites[host].owner)
            for host, containers in there.items()
            if not found[host].rows
        },
        running={
            host: frozenset(one.id for one in containers if one.state == "running")
            for host, containers in there.items()
            if found[host].rows
        },
    )


def _rows(layout: Layout, host: str, told: Told, *, seen: Seen, left_out: LeftOut) -> Iterable[Row]:
    wanted = layout.wanted(host, seen=seen, told=told.backends, left_out=left_out)
    for service in sorted({*wanted, *told.backends, *told.altered}):
        if service in told.altered:
            yield _row(host, service, _words(wanted.get(service)), "a file that somebody changed", PERSON)
        elif told.backends.get(service) != wanted.get(service):
            yield _row(
                host, service, _words(wanted.get(service)), _words(told.backends.get(service)), UNKNOWN
            )
    for name in told.foreign:
        yield _row(host, layout.routing.gateway.service, "no other file", name, PERSON)


def _row(host: str, service: str, wanted: str, found: str, owner: str) -> Row:
    return Row(
        host=host,
        service=service,
        container="",
        field=FIELD,
        wanted=wanted,
        found=found,
        owner=owner,
        since=None,
    )


def _words(backends: Backends | None) -> str:
    """Routes and who answers, in a line."""
    if backends is None:
        return "none"
    routes = ", ".join(f"{route.host}{route.path}:{route.port}" for route in backends.routes)
    servers = ", ".join(
        f"{one.host}/{one.container[:_SHORT_ID] or backends.service}" for one in backends.servers
    )
    return f"{routes} to {servers or 'nobody'}"
