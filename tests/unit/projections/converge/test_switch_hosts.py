"""Several hosts, gateways and replicas: who is told of whom, and what one that is silent means."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from events.catalog.traffic import TrafficSwitched
from events.kernel.errors import OutsideError
from events.manifest import Manifest
from events.routes import Maintenance
from projections.converge.gateways import GATEWAY_NOT_TOLD
from projections.converge.heal import Terms
from projections.converge.route_drift import FIELD
from projections.edge.port import Backends, Server
from projections.engine.simulated_world import Life
from tests.unit.projections.converge.hosts_scene import HostsScene
from tests.unit.projections.converge.scene import IN_PLACE, Spec, image_id
from tests.unit.projections.converge.traffic_scene import (
    GATE_SPEC,
    PORT,
    PUBLISHED,
    gateway,
    routed_over,
    serving,
    traffic_of,
    web,
)


@pytest.fixture
def scene(tmp_path: Path) -> HostsScene:
    """Hosts `app1` to `app3`, `data` and `edge`."""
    return HostsScene(root=tmp_path)


def far(version: str = "1") -> Manifest:
    """Two hosts of the app, and the gateway on a third."""
    app = {"web": web(version, more=PUBLISHED)}
    return routed_over({"app1": app, "app2": app, "edge": {"gate": GATE_SPEC}})


def near(version: str = "1") -> Manifest:
    """Two hosts with a gateway and a web each, and a third web that both pass on to."""
    own = {"web": web(version), "gate": GATE_SPEC}
    return routed_over({"app1": own, "app2": own, "app3": {"web": web(version, more=PUBLISHED)}})


def ids(scene: HostsScene, *hosts: str) -> list[str]:
    return sorted(one for host in hosts for one in scene.engines[host].world.ids("web"))


def test_a_container_elsewhere_is_named_by_its_hosts_address_and_port(scene: HostsScene) -> None:
    assert scene.release(far()).status == "completed"
    assert serving(scene, host="edge") == ids(scene, "app1", "app2")
    for one in scene.routes_at("edge")["web"].servers:
        (container,) = scene.engines[one.host].world.replicas("web")
        (port,) = container.ports
        assert one.addresses == {PORT: f"{one.host}.example:{port.port}"}


def test_each_host_is_switched_alone_and_the_others_stay_as_told(scene: HostsScene) -> None:
    scene.release(far())
    old = {host: ids(scene, host)[0] for host in ("app1", "app2")}
    seen: list[set[str]] = []

    def before(name: str, argument: str) -> None:
        if (name, argument) == ("tell-done", "web"):
            seen.append(set(serving(scene, host="edge")))

    scene.edges.before = before
    verdict = scene.release(far("2"), far(), max_parallel=1)
    assert verdict.status == "completed"
    new = {host: ids(scene, host)[0] for host in ("app1", "app2")}
    assert seen == [{new["app1"], old["app2"]}, {new["app1"], new["app2"]}]
    switches = [e for e in traffic_of(scene, verdict.release) if isinstance(e, TrafficSwitched)]
    assert [(one.host, one.gateways) for one in switches] == [("app1", ("edge",)), ("app2", ("edge",))]


def test_a_port_that_moved_is_told(scene: HostsScene) -> None:
    verdict = scene.release(far())
    (container,) = scene.engines["app1"].world.replicas("web")
    container.ports = tuple(replace(port, port=port.port + 77) for port in container.ports)
    assert scene.heal(far(), verdict.release)
    (moved,) = scene.routes_at("edge")["web"].on("app1")
    assert moved.addresses == {PORT: f"app1.example:{container.ports[0].port}"}
    assert not scene.heal(far(), verdict.release)


def test_a_port_that_is_published_for_its_own_host_alone_is_told_to_nobody(scene: HostsScene) -> None:
    verdict = scene.release(far())
    (container,) = scene.engines["app1"].world.replicas("web")
    (open_port,) = container.ports
    near_one = replace(open_port, address="127.0.0.1", port=1)
    container.ports = (near_one, replace(open_port, port=open_port.port + 77))
    assert scene.heal(far(), verdict.release)
    (told,) = scene.routes_at("edge")["web"].on("app1")
    assert told.addresses == {PORT: f"app1.example:{open_port.port + 77}"}
    container.ports = (near_one, replace(open_port, address="10.0.0.12"))
    assert scene.heal(far(), verdict.release)
    (told,) = scene.routes_at("edge")["web"].on("app1")
    assert told.addresses == {PORT: f"10.0.0.12:{open_port.port}"}


def test_each_gateway_passes_on_to_its_own_host_and_to_those_without_one(scene: HostsScene) -> None:
    assert scene.release(near()).status == "completed"
    assert serving(scene, host="app1") == ids(scene, "app1", "app3")
    assert serving(scene, host="app2") == ids(scene, "app2", "app3")
    assert scene.release(near("2"), near()).status == "completed"
    assert serving(scene, host="app1") == ids(scene, "app1", "app3")
    assert serving(scene, host="app2") == ids(scene, "app2", "app3")


def test_a_gateway_with_nobody_near_passes_on_to_another_ones_host(scene: HostsScene) -> None:
    app = {"web": web(more=PUBLISHED), "gate": GATE_SPEC}
    manifest = routed_over({"app1": {"gate": GATE_SPEC}, "app2": app})
    assert scene.release(manifest).status == "completed"
    (server,) = scene.routes_at("app1")["web"].servers
    assert (server.host, server.addresses[PORT].partition(":")[0]) == ("app2", "app2.example")
    both = routed_over({"app1": app, "app2": app})
    verdict = scene.release(both, manifest)
    assert serving(scene, host="app1") == ids(scene, "app1")
    terms = Terms(drained_hosts=frozenset({"app1"}))
    asyncio.run(scene.converger.heal(both, release=verdict.release, recorder=scene.recorder(), terms=terms))
    assert [one.host for one in scene.routes_at("app1")["web"].servers] == ["app2"]
    assert [one.host for one in scene.routes_at("app2")["web"].servers] == ["app2"]


def test_one_gateway_that_does_not_confirm_puts_all_back(scene: HostsScene) -> None:
    scene.release(near())
    before = {host: scene.routes_at(host) for host in ("app1", "app2")}
    gateway(scene, "app2").stuck = True
    verdict = scene.release(near("2"), near())
    assert verdict.status == "rolled_back"
    assert {host: scene.routes_at(host) for host in ("app1", "app2")} == {
        host: {"web": replace_ids(scene, one["web"])} for host, one in before.items()
    }
    assert scene.images("app1", "app2", "app3") == ["web:1"] * 3


def replace_ids(scene: HostsScene, told: Backends) -> Backends:
    """What was told, with the containers that run now."""
    servers: list[Server] = []
    for one in told.servers:
        (container,) = scene.engines[one.host].world.replicas("web")
        if one.container == container.id:
            servers.append(one)
            continue
        port = next((held.port for held in container.ports), 0)
        place = f"{one.host}.example:{port}" if port else f"{container.id[:12]}:{PORT}"
        servers.append(one.model_copy(update={"container": container.id, "addresses": {PORT: place}}))
    return told.model_copy(
        update={"servers": tuple(sorted(servers, key=lambda one: (one.host, one.container)))}
    )


def test_a_gateway_that_is_skipped_is_told_when_it_is_back(scene: HostsScene) -> None:
    scene.release(near())
    scene.lose("app2")
    verdict = scene.release(near("2"), near(), on_unreachable="skip")
    assert verdict.status == "completed"
    assert verdict.without == ("app2",)
    assert serving(scene, host="app1") == ids(scene, "app1", "app3")
    scene.find("app2")
    assert scene.heal(near("2"), verdict.release)
    assert serving(scene, host="app2") == ids(scene, "app2", "app3")


def test_a_gateway_lost_on_the_way_fails_the_release_where_none_may_fail(scene: HostsScene) -> None:
    scene.release(far())
    old = ids(scene, "app1", "app2")
    scene.lose("edge", at="containers", after=3)
    verdict = scene.release(far("2"), far(), max_parallel=1)
    assert verdict.status in {"rolled_back", "failed"}
    scene.find("edge")
    assert ids(scene, "app1", "app2") == old
    assert serving(scene, host="edge") == old


def test_in_its_place_the_other_hosts_answer_alone(scene: HostsScene) -> None:
    def manifest(version: str) -> Manifest:
        app = {"web": web(version, more={**PUBLISHED, **IN_PLACE})}
        return routed_over({"app1": app, "app2": app, "edge": {"gate": GATE_SPEC}})

    scene.release(manifest("1"))
    seen: list[tuple[str, ...]] = []
    for host in ("app1", "app2"):

        def before(name: str, _argument: str, host: str = host) -> None:
            if name == "up":
                seen.append((host, *{one.host for one in scene.routes_at("edge")["web"].servers}))

        scene.engines[host].before = before
    assert scene.release(manifest("2"), manifest("1"), max_parallel=1).status == "completed"
    assert seen == [("app1", "app2"), ("app2", "app1")]
    assert serving(scene, host="edge") == ids(scene, "app1", "app2")


def test_a_host_that_failed_keeps_its_old_one_in_the_route(scene: HostsScene) -> None:
    scene.release(far())
    old = ids(scene, "app2")
    scene.bad("app2", life=Life(exits_after=0.1, exit_code=3))
    verdict = scene.release(far("2"), far(), max_parallel=1, max_failures=1)
    assert verdict.status == "completed"
    assert serving(scene, host="edge") == sorted([*ids(scene, "app1"), *old])
    assert scene.engines["app1"].world.replicas("web")[0].image == image_id("web:2")


def test_without_any_gateway_that_answers_nobody_is_replaced(scene: HostsScene) -> None:
    scene.release(far())
    old, told = ids(scene, "app1", "app2"), scene.routes_at("edge")
    scene.lose("edge")
    verdict = scene.release(far("2"), far(), on_unreachable="skip")
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert verdict.failure.code == GATEWAY_NOT_TOLD
    assert ids(scene, "app1", "app2") == old
    assert scene.routes_at("edge") == told


def test_a_gateway_lost_on_the_way_is_left_out_where_one_may_fail(scene: HostsScene) -> None:
    scene.release(near())
    noted = scene.edges.calls

    def lose(name: str, _argument: str) -> None:
        if name == "tell" and len([one for one, _ in noted if one == "tell"]) == 1:
            scene.lose("app2")

    noted.clear()
    scene.edges.before = lose
    verdict = scene.release(near("2"), near(), max_parallel=1, max_failures=1)
    assert verdict.status == "completed"
    assert verdict.without == ("app2",)
    assert serving(scene, host="app1") == ids(scene, "app1", "app3")
    scene.find("app2")
    scene.edges.before = None
    scene.mend(near("2"))
    assert serving(scene, host="app2") == ids(scene, "app2", "app3")
    assert scene.images("app1", "app2", "app3") == ["web:2"] * 3


def test_a_silent_gateways_host_keeps_no_other_host_from_being_healed(scene: HostsScene) -> None:
    verdict = scene.release(near())
    (gone,) = scene.engines["app3"].world.ids("web")
    del scene.engines["app3"].world.containers[gone]
    scene.lose("app2")
    with pytest.raises(OutsideError):
        scene.heal(near(), verdict.release)
    assert serving(scene, host="app1") == ids(scene, "app1", "app3")
    assert asyncio.run(drift_rows(scene)) == []


async def drift_rows(scene: HostsScene) -> list[tuple[str, str]]:
    """Host and service of what gateways that answer were told otherwise."""
    found = await scene.converger.drift(near(), stopped={})
    return [(row.host, row.service) for one in found for row in one.rows if row.field == FIELD]


def paged(*page_hosts: str) -> Manifest:
    """As `far`, and whoever serves the page."""
    page = web(more={"ports": [{"target": 9000, "protocol": "tcp", "mode": "ingress"}]})
    specs = {host: {"web": web(more=PUBLISHED)} for host in ("app1", "app2")}
    contents: dict[str, dict[str, Spec]] = {**specs, "edge": {"gate": GATE_SPEC}}
    manifest = routed_over(
        {host: own | ({"sorry": page} if host in page_hosts else {}) for host, own in contents.items()}
    )
    assert manifest.routing is not None
    maintenance = Maintenance(service="sorry", port=9000)
    return manifest.model_copy(
        update={"routing": manifest.routing.model_copy(update={"maintenance": maintenance})}
    )


def test_a_page_from_elsewhere_is_shown_as_its_host_publishes_it_drained_or_not(scene: HostsScene) -> None:
    manifest = paged("app1")
    verdict = scene.release(manifest)
    terms = Terms(drained_hosts=frozenset({"app1", "app2"}))

    def look() -> list[str]:
        heal = scene.converger.heal(manifest, release=verdict.release, recorder=scene.recorder(), terms=terms)
        asyncio.run(heal)
        page = scene.routes_at("edge")["web"].page
        return [] if page is None else [one.addresses[9000] for one in page.servers]

    (container,) = scene.engines["app1"].world.replicas("sorry")
    assert look() == [f"app1.example:{container.ports[0].port}"]
    assert serving(scene, host="edge") == []
    container.ports = tuple(replace(port, port=port.port + 77) for port in container.ports)
    moved = [f"app1.example:{container.ports[0].port}"]
    assert look() == moved
    scene.lose("app1")
    with pytest.raises(OutsideError):
        look()
    page = scene.routes_at("edge")["web"].page
    assert page is not None
    assert [one.addresses[9000] for one in page.servers] == moved, "what is silent is not missing"


def test_one_drained_host_of_two_shows_no_page(scene: HostsScene) -> None:
    manifest = paged("edge")
    verdict = scene.release(manifest)
    terms = Terms(drained_hosts=frozenset({"app1"}))
    heal = scene.converger.heal(manifest, release=verdict.release, recorder=scene.recorder(), terms=terms)
    asyncio.run(heal)
    assert serving(scene, host="edge") == ids(scene, "app2")
    assert scene.routes_at("edge")["web"].page is None
