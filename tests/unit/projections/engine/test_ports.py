"""Ports that an app wants and somebody else has."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from projections.engine.port import Container, ContainerState, Engine, PublishedPort
from projections.engine.ports import (
    Conflict,
    HeldByProcess,
    WantedPort,
    held_here,
    held_in,
    taken_ports,
    wanted_ports,
)
from projections.transport.port import BoundPort
from tests.support.processes import free_port

ALL = "0.0.0.0"  # noqa: S104  # what engines write


def document(*ports: dict[str, Any]) -> dict[str, Any]:
    return {"services": {"web": {"ports": list(ports)}, "db": {}}}


def wanted(first: int, *, last: int | None = None, address: str = "", protocol: str = "tcp") -> WantedPort:
    return WantedPort(service="web", address=address, first=first, last=last or first, protocol=protocol)


def holding(*ports: PublishedPort, name: str = "other-web-1", project: str | None = "other") -> Container:
    return Container(
        id=f"id of {name}",
        name=name,
        image="web:1",
        image_id="sha256:bb",
        state="running",
        health="none",
        labels={} if project is None else {"com.docker.compose.project": project},
        ports=ports,
    )


def held(port: int, address: str = ALL, protocol: str = "tcp") -> PublishedPort:
    return PublishedPort(address=address, port=port, protocol=protocol)


class FakeListingEngine:
    """Answers a listing and nothing else."""

    def __init__(self, containers: Collection[Container]) -> None:
        self._containers = containers

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        assert compose_project is None, "ports are the whole engine's"
        return list(self._containers)


def taken(
    ports: list[WantedPort],
    containers: list[Container],
    *,
    own: Collection[str] = (),
    held: HeldByProcess | None = None,
) -> list[Conflict]:
    engine: Any = FakeListingEngine(containers)
    listing: Engine = engine
    return asyncio.run(taken_ports(listing, ports, own=own, held=held))


def test_fixed_ports_are_wanted_in_order() -> None:
    found = wanted_ports(
        document(
            {"mode": "ingress", "target": 80, "published": "8080", "protocol": "tcp"},
            {"target": 53, "published": 5353, "protocol": "udp", "host_ip": "127.0.0.1"},
            {"target": 81, "published": "9000-9002", "host_ip": "::1"},
        ),
        ["db", "web", "absent"],
    )
    assert [str(port) for port in found] == ["8080/tcp", "127.0.0.1:5353/udp", "[::1]:9000-9002/tcp"]
    assert {port.service for port in found} == {"web"}


@pytest.mark.parametrize(
    "port", [{"target": 80}, {"target": 80, "published": ""}, {"target": 80, "published": "0"}]
)
def test_a_port_of_the_engines_choice_is_not_wanted(port: dict[str, Any]) -> None:
    assert wanted_ports(document(port), ["web"]) == []
    assert wanted_ports({}, ["web"]) == []


def test_a_port_that_another_container_holds_is_a_conflict_that_names_it() -> None:
    (conflict,) = taken([wanted(8080)], [holding(held(8080))])
    assert conflict.message == (
        "port 8080/tcp for service web is already allocated: container other-web-1 of Compose project other"
    )
    (by_hand,) = taken([wanted(8080)], [holding(held(8080), name="mine", project=None)])
    assert by_hand.holders == ("container mine",)


@pytest.mark.parametrize("port", [held(8081), held(8080, protocol="udp")])
def test_other_numbers_and_protocols_do_not_conflict(port: PublishedPort) -> None:
    assert taken([wanted(8080)], [holding(port)]) == []


@pytest.mark.parametrize(
    ("address", "holder", "conflict"),
    [
        ("", ALL, True),
        ("", "::", True),
        ("", "127.0.0.1", True),
        (ALL, "127.0.0.1", True),
        ("127.0.0.1", ALL, True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "::", False),
        ("::1", ALL, False),
        ("::1", "::", True),
    ],
)
def test_addresses_conflict_when_they_share_one(address: str, holder: str, conflict: bool) -> None:  # noqa: FBT001  # a row
    assert bool(taken([wanted(8080, address=address)], [holding(held(8080, holder))])) is conflict


@pytest.mark.parametrize("state", ["created", "exited", "dead"])
def test_a_container_that_ended_holds_no_port_although_a_crashed_engine_lists_it(
    state: ContainerState,
) -> None:
    ended = replace(holding(held(8080)), state=state)
    assert taken([wanted(8080)], [ended]) == []


def test_ports_of_our_own_containers_are_free_for_us() -> None:
    container = holding(held(8080))
    assert taken([wanted(8080)], [container], own={container.id}) == []


def test_a_range_conflicts_when_all_of_it_is_taken() -> None:
    ports = [wanted(9000, last=9001)]
    assert taken(ports, [holding(held(9000))]) == []
    (conflict,) = taken(ports, [holding(held(9000)), holding(held(9001), name="b", project=None)])
    assert "9000-9001/tcp" in conflict.message
    assert conflict.holders == ("container other-web-1 of Compose project other", "container b")
    own = holding(held(9001), name="ours")
    assert taken(ports, [holding(held(9000)), own], own={own.id}) == []


@pytest.mark.parametrize(("kind", "protocol"), [(socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")])
@pytest.mark.parametrize("address", ["127.0.0.1", ""])
def test_a_port_of_another_process_is_taken_on_this_machine_only(
    kind: socket.SocketKind, protocol: str, address: str
) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        port = wanted(other.getsockname()[1], address=address, protocol=protocol)
        other_family = wanted(port.first, address="::", protocol=protocol)
        assert taken([other_family], [], held=held_here) == []
        (conflict,) = taken([port], [], held=held_here)
        assert conflict.holders == ("another process on this host",)
        assert "is already allocated" in conflict.message
        assert taken([port], []) == []


def test_a_port_of_another_process_on_ipv6_is_taken() -> None:
    with socket.socket(socket.AF_INET6) as other:
        other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.bind(("::1", 0))
        other.listen()
        number = other.getsockname()[1]
        assert taken([wanted(number)], [], held=held_here)
        assert taken([wanted(number, address="::1")], [], held=held_here)
        assert taken([wanted(number, address="127.0.0.1")], [], held=held_here) == []


def test_our_own_container_is_not_taken_for_another_process() -> None:
    with socket.socket() as proxy:  # the engine listens on the host for a container of ours
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        number = proxy.getsockname()[1]
        container = holding(held(number))
        assert taken([wanted(number)], [container], own={container.id}, held=held_here) == []


def test_connections_that_are_closing_do_not_count() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", number)):
            server.accept()[0].close()  # the side that closes first keeps the port in TIME_WAIT
    assert taken([wanted(number)], [], held=held_here) == []


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_a_free_port_is_free(protocol: str) -> None:
    assert taken([wanted(free_port(), protocol=protocol)], [], held=held_here) == []


def test_an_address_of_another_machine_is_for_the_engine_to_refuse() -> None:
    assert taken([wanted(8080, address="192.0.2.1")], [], held=held_here) == []


def test_nothing_wanted_asks_nobody() -> None:
    nobody: Any = None
    assert asyncio.run(taken_ports(nobody, [], own=(), held=held_here)) == []


@pytest.mark.parametrize(
    ("bound", "count"),
    [
        (BoundPort("tcp", "0.0.0.0", 8080), 1),  # noqa: S104  # what a kernel's table has
        (BoundPort("tcp", "127.0.0.1", 8080), 1),
        (BoundPort("tcp", "::", 8080), 1),
        (BoundPort("tcp", "0.0.0.0", 8081), 0),  # noqa: S104
        (BoundPort("udp", "0.0.0.0", 8080), 0),  # noqa: S104
    ],
)
def test_on_another_host_the_tables_of_its_kernel_say_what_processes_hold(
    bound: BoundPort, count: int
) -> None:
    assert len(taken([wanted(8080)], [], held=held_in({bound}))) == count


def test_a_port_that_our_own_container_holds_is_free_whatever_the_tables_say() -> None:
    container = holding(held(8080))
    bound = {BoundPort("tcp", "0.0.0.0", 8080)}  # noqa: S104
    assert taken([wanted(8080)], [container], own={container.id}, held=held_in(bound)) == []
