"""A switchboard for one Manifest, made of what a converger has; none where nothing is passed on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from events.kernel.errors import OutsideError
from events.manifest import Manifest
from events.recorder import Recorder
from projections.converge.backends import Layout, LeftOut
from projections.converge.gateways import Gateways, goes_on
from projections.converge.site import Equipment
from projections.converge.switch import Switchboard
from projections.converge.traffic_log import TrafficLog
from projections.converge.traffic_record import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms requests are moved."""

    traffic: Traffic = field(default_factory=Traffic)
    drained_hosts: frozenset[str] = frozenset()  # that people keep requests away from
    drained_services: frozenset[str] = frozenset()  # likewise
    absent: Callable[[], Collection[str]] = frozenset  # hosts that are left out at that moment
    goes_on_without: Callable[[str, OutsideError], bool] = goes_on  # a gateway on a host that fell silent


def layout_of(equipment: Equipment, manifest: Manifest) -> Layout | None:
    """Who passes on to whom by a Manifest; None where nobody does."""
    routing = manifest.routing
    if routing is None:
        return None
    name = routing.gateway.service
    gateways = tuple(
        host
        for host, content in sorted(manifest.hosts.items())
        if name in content.services and content.services[name].job is None
    )
    return Layout(manifest=manifest, routing=routing, gateways=gateways, addresses=equipment.addresses)


def switchboard_of(
    equipment: Equipment,
    manifest: Manifest,
    *,
    known: Manifest | None,
    recorder: Recorder,
    release: str,
    terms: Terms,
) -> Switchboard | None:
    """The switchboard of a Manifest; None where it has no gateway that somebody here speaks with."""
    layout = layout_of(equipment, manifest)
    if equipment.edges is None or layout is None:
        return None
    sites = {host: equipment.site(manifest, host) for host in manifest.hosts if host in equipment.engines}
    found = {
        host: equipment.edges.at(sites[host].place, layout.routing.gateway)
        for host in layout.gateways
        if host in sites
    }
    edges = {host: edge for host, edge in found.items() if edge is not None}
    if not edges:
        return None
    gateways = Gateways(
        gateway=layout.routing.gateway,
        edges=edges,
        sites=sites,
        manifest=manifest,
        known=known,
        absent=terms.absent,
        goes_on_without=terms.goes_on_without,
    )
    before = None if known is None else layout_of(equipment, known)
    return Switchboard(
        layout=layout,
        before=before or layout,
        gateways=gateways,
        edges=equipment.edges,
        sites=sites,
        clock=equipment.clock,
        log=TrafficLog(recorder=recorder, release=release, clock=equipment.clock, traffic=terms.traffic),
        left_out=LeftOut(hosts=terms.drained_hosts, services=terms.drained_services),
    )
