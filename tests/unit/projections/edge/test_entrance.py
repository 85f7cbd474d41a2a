"""Which request leads to a service, and where a gateway takes it in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from events.routes import Gateway, RequestProbe, Route
from projections.edge.entrance import asked_route, doors
from projections.edge.question import Door, Question
from projections.engine.port import PublishedPort
from tests.unit.projections.converge.scene import (
    COMPOSE_PROJECT,
    ENVIRONMENT,
    PROJECT,
    Scene,
    identity_labels,
)

GATEWAY = Gateway(service="gateway", admin_port=8099, entry_points={"web": 80, "websecure": 443})


def route(host: str = "a.localhost", path: str = "/", **more: object) -> Route:
    return Route.model_validate({"host": host, "path": path, "service": "web", "port": 8080, **more})


def question(*routes: Route, path: str = "/alive") -> Question | None:
    found = asked_route(routes, RequestProbe(path=path, rate=20))
    return None if found is None else found[1]


def test_the_first_route_is_asked_for_the_path_of_the_probe() -> None:
    assert question(route("a.localhost"), route("b.localhost")) == Question(host="a.localhost", path="/alive")


def test_a_route_that_does_not_lead_to_the_path_is_passed_over() -> None:
    assert question(route(path="/api"), route("b.localhost")) == Question(host="b.localhost", path="/alive")
    assert question(route(path="/api"), route("b.localhost"), path="/api/alive") == Question(
        host="a.localhost", path="/api/alive"
    )
    assert question(route(path="/ap"), route("b.localhost"), path="/api") == Question(
        host="b.localhost", path="/api"
    )


def test_where_no_route_leads_to_the_path_the_first_is_asked_for_its_own() -> None:
    assert question(route(path="/api"), route(path="/v2")) == Question(host="a.localhost", path="/api")


def test_a_route_with_tls_is_asked_in_tls_and_one_for_bytes_is_not_asked() -> None:
    assert question(route(tls=True)) == Question(host="a.localhost", path="/alive", tls=True)
    assert question(route("*", protocol="tcp"), route("b.localhost", protocol="h2c")) == Question(
        host="b.localhost", path="/alive"
    )
    assert question(route("*", protocol="tcp")) is None


def test_a_route_for_many_names_is_asked_by_one_of_them() -> None:
    assert question(route("*.a.localhost")) == Question(host="probe.a.localhost", path="/alive")
    assert question(route("*")) == Question(host="localhost", path="/alive")


def known_doors(scene: Scene, entrance: str = "web") -> list[Door]:
    return asyncio.run(doors(scene.site, GATEWAY, entrance))


def gateway(scene: Scene, *ports: PublishedPort, name: str = "gateway-1", network: str | None = None) -> None:
    scene.engine.add(name, image="traefik", found=identity_labels(PROJECT, ENVIRONMENT, "gateway"))
    made = scene.engine.world.named(name)
    made.ports = ports
    if network is not None:
        made.networks = (network,)


def published(address: str, port: int, target: int, protocol: str = "tcp") -> PublishedPort:
    return PublishedPort(address=address, port=port, protocol=protocol, target=target)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_port_that_is_open_on_all_addresses_is_dialled_on_loopback(scene: Scene) -> None:
    gateway(
        scene,
        published("0.0.0.0", 8080, 80),  # noqa: S104  # as an engine says it
        published("::", 8080, 80),
        published("0.0.0.0", 8443, 443),  # noqa: S104  # the same
        published("0.0.0.0", 8080, 80, "udp"),  # noqa: S104  # the same
    )
    assert known_doors(scene) == [Door(address="127.0.0.1", port=8080), Door(address="::1", port=8080)]
    assert known_doors(scene, "websecure") == [Door(address="127.0.0.1", port=8443)]
    assert known_doors(scene, "unknown") == []


def test_a_port_on_one_address_is_dialled_there(scene: Scene) -> None:
    gateway(scene, published("10.1.2.3", 80, 80))
    assert known_doors(scene) == [Door(address="10.1.2.3", port=80)]


def test_a_gateway_in_the_hosts_own_network_listens_there(scene: Scene) -> None:
    gateway(scene, network="host")
    assert known_doors(scene) == [Door(address="127.0.0.1", port=80)]


def test_a_port_that_is_not_published_is_the_containers_own(scene: Scene) -> None:
    gateway(scene)
    (door,) = known_doors(scene)
    assert door.port == 80
    assert door.address.startswith("172.")


def test_only_running_containers_of_the_gateway_count(scene: Scene) -> None:
    assert known_doors(scene) == []
    scene.engine.add("web-1", found=identity_labels(PROJECT, ENVIRONMENT, "web"))
    scene.engine.world.named("web-1").ports = (published("127.0.0.1", 8080, 80),)
    found = identity_labels(PROJECT, ENVIRONMENT, "gateway")
    scene.engine.add("gateway-1", image="traefik", found=found, started=False)
    scene.engine.world.named("gateway-1").ports = (published("127.0.0.1", 8081, 80),)
    assert known_doors(scene) == []
    gateway(scene, published("127.0.0.1", 8082, 80), name="gateway-2")
    assert known_doors(scene) == [Door(address="127.0.0.1", port=8082)]
    assert scene.site.compose_project == COMPOSE_PROJECT
