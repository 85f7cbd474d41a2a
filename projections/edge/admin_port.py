"""Where the admin ports of a gateway's containers are on their host, looked up each time they are asked."""

from __future__ import annotations

from events.routes import Gateway
from projections.edge.drain import gateways_at
from projections.edge.port import Place
from projections.engine.port import Container, PublishedPort

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what an engine listens on


class NoAnswerError(Exception):
    """Why a gateway could not be asked, or gave no answer that says something."""


async def admin_ports(place: Place, gateway: Gateway) -> list[tuple[str, int]]:
    """Address and port for each container that runs. Raises NoAnswerError when there is none."""
    found = await gateways_at(place, gateway)
    if not found:
        raise NoAnswerError("none of its containers runs")
    return [_target(container, gateway.admin_port) for container in found]


def _target(container: Container, inside: int) -> tuple[str, int]:
    if container.networks == ("host",):
        return "127.0.0.1", inside
    ports = [port for port in container.ports if port.target == inside and port.protocol == "tcp"]
    if not ports:
        raise NoAnswerError(f"its port {inside} is not published")
    best = min(ports, key=_by_family)
    return _LOOPBACK.get(best.address, best.address), best.port


def _by_family(port: PublishedPort) -> bool:
    return ":" in port.address
