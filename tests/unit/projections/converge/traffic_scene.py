"""Manifests with a gateway, and what is seen of a switch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from events.catalog import Event
from events.catalog.traffic import ConnectionsDrained, RoutesTold, TrafficRestored, TrafficSwitched
from events.manifest import Gate, Manifest
from events.routes import Gateway, Route, Routing, Traffic
from projections.edge.simulated import SimulatedGateway
from tests.unit.projections.converge.hosts_scene import over
from tests.unit.projections.converge.scene import HOST, Scene, Spec, manifest_of

GATE = "gate"
GATEWAY = Gateway(service=GATE, admin_port=8099, entry_points={"web": 80})
EDGE_PORTS: Mapping[str, Any] = {
    "ports": [{"target": 80, "published": "80", "protocol": "tcp", "mode": "ingress"}]
}
AT_ONCE = Gate(settle_seconds=0.0, deadline_seconds=30.0)
GATE_SPEC = Spec(image="gate:1", role="gateway", more=EDGE_PORTS, gate=AT_ONCE)
PORT = 8080
PUBLISHED: Mapping[str, Any] = {"ports": [{"target": PORT, "protocol": "tcp", "mode": "ingress"}]}
"""Of a definition on a host without a gateway."""
TRAFFIC = (TrafficSwitched, ConnectionsDrained, TrafficRestored, RoutesTold)


def routing(*services: str, path: str = "/", traffic: Mapping[str, Traffic] | None = None) -> Routing:
    """A route for each service; `traffic` says how theirs moves."""
    routes = tuple(
        Route(host=f"{service}.localhost", path=path, service=service, port=PORT)
        for service in sorted(services)
    )
    return Routing(gateway=GATEWAY, routes=routes, traffic=dict(traffic or {}))


def routed(
    *,
    routes: Sequence[str] = ("web",),
    path: str = "/",
    traffic: Mapping[str, Traffic] | None = None,
    gate: Spec = GATE_SPEC,
    **specs: Spec,
) -> Manifest:
    """A Manifest of one host with a gateway."""
    given = routing(*routes, path=path, traffic=traffic)
    return manifest_of(trees=(), **{GATE: gate, **specs}).model_copy(update={"routing": given})


def routed_over(
    contents: Mapping[str, Mapping[str, Spec]],
    *,
    routes: Sequence[str] = ("web",),
    traffic: Mapping[str, Traffic] | None = None,
) -> Manifest:
    """A Manifest of several hosts."""
    return over(contents).model_copy(update={"routing": routing(*routes, traffic=traffic)})


def web(version: str = "1", **more: Any) -> Spec:  # noqa: ANN401  # further fields of `Spec`
    """A web that counts as up at once."""
    return Spec(image=f"web:{version}", gate=AT_ONCE, **more)


def serving(scene: Scene, service: str = "web", host: str = HOST) -> list[str]:
    """The containers that a gateway was told of, sorted."""
    told = scene.routes_at(host)
    return sorted(one.container for one in told[service].servers) if service in told else []


def traffic_of(scene: Scene, release: str) -> list[Event]:
    """What a Release did to requests."""
    return [event for event in scene.of_release(release) if isinstance(event, TRAFFIC)]


def gateway(scene: Scene, host: str = HOST) -> SimulatedGateway:
    """The gateway of a host, to be broken."""
    return scene.edges.world.gateway(host)
