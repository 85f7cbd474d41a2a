"""Where a gateway takes requests in, and with which request a routed service is asked through it.

The entry point's port is looked for among what the engine published of the gateway's running containers,
each time anew: an ephemeral one is another after each start. One that is not published at all is reached at
the container's own address, which works where the engine's networks are those of the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from projections.edge.question import Door, Question

if TYPE_CHECKING:
    from events.routes import Gateway, RequestProbe, Route
    from projections.converge.site import Site
    from projections.engine.port import Container, PublishedPort

_LOOPBACK = {4: "127.0.0.1", 6: "::1"}
_HOST_NETWORK = "host"


def asked_route(routes: Sequence[Route], probe: RequestProbe) -> tuple[Route, Question] | None:
    """The first HTTP route that leads to the probed path, and the request; None: no route speaks HTTP.

    Where no route leads there, the first one is asked for its own path: any other would be answered by
    another service, or by the gateway itself.
    """
    spoken = [route for route in routes if route.protocol != "tcp"]
    if not spoken:
        return None
    leading = [route for route in spoken if _leads(route.path, probe.path)]
    route = (leading or spoken)[0]
    path = probe.path if leading else route.path
    return route, Question(host=_some_name(route.host), path=path, tls=route.tls)


def _some_name(host: str) -> str:
    """A name that a route is for, which may be one for many."""
    return "localhost" if host == "*" else host.replace("*", "probe", 1)


def _leads(prefix: str, path: str) -> bool:
    """Whether a request for `path` takes a route for what begins with `prefix`."""
    return path == prefix or path.startswith(prefix if prefix.endswith("/") else f"{prefix}/")


async def doors(site: Site, gateway: Gateway, entrance: str) -> list[Door]:
    """Where connections to an entry point are taken on a host, the likeliest first; none: nobody says.

    Raises OutsideError as `Engine.containers`.
    """
    port = gateway.entry_points.get(entrance)
    if port is None:
        return []
    every = await site.containers(site.compose_project)
    running = [one for one in every if _is_gateway(one, gateway.service)]
    found = [door for one in running for door in _published(one.ports, port)]
    for one in running if not found else ():
        found += await _own(site, one, port)
    return found


def _is_gateway(container: Container, service: str) -> bool:
    return container.service == service and container.state == "running" and not container.one_off


def _published(ports: Iterable[PublishedPort], target: int) -> list[Door]:
    """Loopback where the port is open on all addresses."""
    found = [
        Door(address=_dialled(port.address), port=port.port)
        for port in ports
        if port.target == target and port.protocol == "tcp"
    ]
    return sorted(set(found), key=lambda door: (":" in door.address, door.address, door.port))


def _dialled(address: str) -> str:
    parsed = ip_address(address)
    return _LOOPBACK[parsed.version] if parsed.is_unspecified else address


async def _own(site: Site, container: Container, port: int) -> list[Door]:
    """The addresses of the container itself; in the host's own network that is the host's loopback."""
    if _HOST_NETWORK in container.networks:
        return [Door(address=_LOOPBACK[4], port=port)]
    detail = await site.engine.inspect(container.id)
    ends = () if detail is None else detail.attachments
    return [Door(address=end.address, port=port) for end in ends]
