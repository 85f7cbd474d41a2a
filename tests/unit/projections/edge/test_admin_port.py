"""Where the admin port of a gateway's container is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from events.routes import Gateway
from projections.edge.admin_port import NoAnswerError, admin_ports
from projections.edge.caddy import CaddyEdge
from projections.edge.gateways import GatewayEdges
from projections.edge.port import Place
from projections.edge.traefik import TraefikEdge
from projections.engine.port import Container, PublishedPort
from projections.transport.local import LocalTransport
from tests.support.traefik import ADMIN_PORT, GATEWAY, process_place


def place(folder: Path) -> Place:
    return process_place(folder, admin=1, runs=lambda: True, transport=LocalTransport("h1"))


def asked(here: Place, **changes: object) -> list[tuple[str, int]]:
    async def changed() -> list[Container]:
        return [replace(one, **changes) for one in await here.containers()]  # type: ignore[arg-type]  # as named

    return asyncio.run(admin_ports(replace(here, containers=changed), GATEWAY))


def port(address: str, number: int, *, target: int = ADMIN_PORT, protocol: str = "tcp") -> PublishedPort:
    return PublishedPort(address=address, port=number, protocol=protocol, target=target)


def test_it_is_where_the_engine_published_it(tmp_path: Path) -> None:
    here = place(tmp_path)
    assert asked(here) == [("127.0.0.1", 1)]
    others = (port("127.0.0.1", 7, target=80), port("127.0.0.1", 8, protocol="udp"))
    everywhere = (port("::", 9), port("0.0.0.0", 9))  # noqa: S104  # an engine's word
    assert asked(here, ports=(*others, *everywhere)) == [("127.0.0.1", 9)]
    assert asked(here, ports=(port("::", 9),)) == [("::1", 9)]
    assert asked(here, ports=(port("192.0.2.1", 9),)) == [("192.0.2.1", 9)]
    assert asked(here, ports=(), networks=("host",)) == [("127.0.0.1", ADMIN_PORT)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ports": ()}, "8099 is not published"),
        ({"state": "exited"}, "none of its containers runs"),
        ({"labels": {"stagecraft.service": "web"}}, "none of its containers runs"),
    ],
)
def test_why_there_is_none_is_said(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(NoAnswerError, match=words):
        asked(place(tmp_path), **changes)


def test_each_kind_has_its_adapter_and_no_key_is_shown(tmp_path: Path) -> None:
    edges = GatewayEdges(b"a secret key")
    caddy = Gateway(service="gateway", kind="caddy", admin_port=2019, entry_points={"web": 80})
    assert isinstance(edges.at(place(tmp_path), GATEWAY), TraefikEdge)
    assert isinstance(edges.at(place(tmp_path), caddy), CaddyEdge)
    assert "secret" not in repr(edges)
