"""A registry on this machine's loopback, offered to a host before it pulls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from events.kernel.errors import OutsideError
from projections.converge.offering import loopback_port, offer
from projections.converge.site import Site
from projections.transport.port import HOST_PORT_HELD, HOST_UNREACHABLE
from tests.unit.projections.converge.scene import Scene


@dataclass
class NotingTransport:
    """Notes which ports are offered, or refuses."""

    refusal: OutsideError | None = None
    offered: list[int] = field(default_factory=list[int])

    async def offer_port(self, port: int) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.offered.append(port)


def site(folder: Path, transport: NotingTransport, *, ports: frozenset[int] = frozenset({5000})) -> Site:
    scene = Scene(root=folder)
    noting: Any = transport
    return replace(scene.site, transport=noting, equipment=replace(scene.equipment, offered=ports))


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("127.0.0.1:5000", 5000),
        ("localhost:5000/shop/web:1", 5000),
        ("127.0.0.1:5000/web@sha256:00", 5000),
        ("registry.example.org:5000/web", None),
        ("127.0.0.1/web", None),
        ("127.0.0.12:5000/web", None),
        ("web:5000", None),
    ],
)
def test_the_port_of_a_registry_on_the_loopback_is_in_its_name(text: str, port: int | None) -> None:
    assert loopback_port(text) == port


def test_what_the_operator_named_is_offered_and_nothing_else_that_a_repository_names(tmp_path: Path) -> None:
    transport = NotingTransport()
    asyncio.run(offer(site(tmp_path, transport), "127.0.0.1:5432/web:1"))
    asyncio.run(offer(site(tmp_path, transport), "registry.example.org/web:1"))
    assert transport.offered == []
    asyncio.run(offer(site(tmp_path, transport), "127.0.0.1:5000/web:1"))
    assert transport.offered == [5000]


def test_where_the_host_has_something_on_that_port_that_one_is_meant(tmp_path: Path) -> None:
    held = NotingTransport(refusal=OutsideError(HOST_PORT_HELD, "the port is held"))
    asyncio.run(offer(site(tmp_path, held), "127.0.0.1:5000/web:1"))


def test_a_silent_host_is_an_error_here_too(tmp_path: Path) -> None:
    silent = NotingTransport(refusal=OutsideError(HOST_UNREACHABLE, "no answer"))
    with pytest.raises(OutsideError, match="host-unreachable"):
        asyncio.run(offer(site(tmp_path, silent), "127.0.0.1:5000/web:1"))
