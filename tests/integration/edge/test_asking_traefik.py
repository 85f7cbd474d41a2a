"""Requests of our own through a real Traefik: a switch loses none, a lost route is seen."""

from __future__ import annotations

import asyncio
from pathlib import Path

from events.routes import RequestProbe, Route, Routing, Traffic
from projections.edge.asking import Prober
from projections.edge.port import Backends, Server
from projections.edge.series import Asked
from projections.edge.traefik import TraefikEdge
from projections.engine.port import PublishedPort
from projections.transport.local import LocalTransport
from tests.support.traefik import GATEWAY, TraefikProcess, place, traefik_process
from tests.support.webserver import Asked as Heard
from tests.support.webserver import Reply, web_server
from tests.unit.projections.converge.scene import ENVIRONMENT, HOST, PROJECT, Scene, identity_labels

RATE = 50
PATIENCE = 20.0
WEB = frozenset({"web"})
ROUTE = Route(host="*.shop.localhost", path="/app", service="web", port=8080)
ROUTING = Routing(
    gateway=GATEWAY,
    routes=(ROUTE,),
    traffic={"web": Traffic(probe=RequestProbe(path="/app/alive", rate=RATE))},
)


def told(address: str) -> Backends:
    server = Server(host="h1", container="c" * 64, addresses={8080: address})
    return Backends(name="shop-prod-web", service="web", routes=(ROUTE,), servers=(server,))


def seen_by(root: Path, process: TraefikProcess) -> Scene:
    """An environment whose gateway is the process."""
    scene = Scene(root)
    scene.engine.add("gateway-1", found=identity_labels(PROJECT, ENVIRONMENT, GATEWAY.service))
    opened = PublishedPort(
        address="127.0.0.1",
        port=process.ports["web"],
        protocol="tcp",
        target=GATEWAY.entry_points["web"],
    )
    scene.engine.world.named("gateway-1").ports = (opened,)
    return scene


def test_a_switch_loses_no_request_and_a_route_that_is_gone_loses_all(tmp_path: Path) -> None:
    def answer(_heard: Heard) -> Reply:
        return Reply(body=b"here")

    async def run(edge: TraefikEdge, scene: Scene, one: str, two: str) -> tuple[Asked, Asked]:
        async def switch(address: str) -> None:
            await edge.tell(told(address))
            await edge.confirm(told(address), seconds=PATIENCE)

        await switch(one)
        prober = Prober()
        await prober.start({HOST: scene.site}, ROUTING)
        for address in (two, one, two):
            await asyncio.sleep(0.2)
            await switch(address)
        switched = prober.asked(WEB)
        await edge.forget("web")
        await edge.confirm_gone("shop-prod-web", seconds=PATIENCE)
        await asyncio.sleep(0.4)
        await prober.stop()
        return switched, prober.asked(WEB)

    with (
        traefik_process(tmp_path / "environment") as process,
        web_server(answer) as one,
        web_server(answer) as two,
    ):
        edge = TraefikEdge(place(process, LocalTransport("h1")), GATEWAY, binding_key=b"k" * 32)
        scene = seen_by(tmp_path, process)
        switched, gone = asyncio.run(run(edge, scene, one.address, two.address))
        heard = len(one.asked) + len(two.asked)
    assert switched.failed == 0
    assert 10 <= switched.requests <= heard == gone.requests - gone.failed
    assert min(len(one.asked), len(two.asked)) >= 5, "both were asked"
    assert gone.failed >= 10, "a gateway without the route answers 404, which is no answer of the service"
    assert gone.longest_gap_ms >= 300
    assert {heard.headers["Host"] for heard in one.asked} == {"probe.shop.localhost"}
