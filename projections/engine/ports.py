"""Which ports of the host an app wants and somebody else has.

Compose finds out by trying, after it took the old container away, and a dry run does not look at all. So
it is asked before anything is touched: the engine's listing says which container holds a port. Whether some
other process does, a trial bind says on this machine, and the tables of its kernel on another host. Ports
that the app's own containers hold are free for it. A port may still be taken in between; then the engine's
own error says so.

Documents are canonical (`docker compose config`), so a port is an object and a `published` that is a range
means "any of these".
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from projections.engine.port import Container, Engine
    from projections.transport.port import BoundPort

_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  # what an empty address means, each for its family
_KINDS: Mapping[str, socket.SocketKind] = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_PORTLESS = frozenset({"created", "exited", "dead"})
_PROCESS = "another process on this host"
_PROJECT_LABEL = "com.docker.compose.project"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPort:
    """A port of the host that a service wants published."""

    service: str
    address: str  # empty: all addresses of both families
    first: int
    last: int  # the same as `first`, unless any port of a range will do
    protocol: str  # tcp, udp, sctp

    def __str__(self) -> str:
        numbers = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        host = f"[{self.address}]:" if ":" in self.address else f"{self.address}:" if self.address else ""
        return f"{host}{numbers}/{self.protocol}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A wanted port that others hold."""

    wanted: WantedPort
    holders: tuple[str, ...]  # in words, for each port of the range

    @property
    def unseen(self) -> bool:
        """Whether a port is held by what is not a container, or not one that can be seen yet."""
        return _PROCESS in self.holders

    @property
    def message(self) -> str:
        """For people; in the engine's words, so that it is found where those are looked up."""
        port = f"port {self.wanted} for service {self.wanted.service}"
        return f"{port} is already allocated: {'; '.join(self.holders)}"


def wanted_ports(document: Mapping[str, Any], services: Iterable[str]) -> list[WantedPort]:
    """The fixed ports of `services` in a canonical Compose document, in the document's order.

    A port whose number the engine chooses is not among them.
    """
    wanted: list[WantedPort] = []
    for name in services:
        for port in document.get("services", {}).get(name, {}).get("ports") or ():
            first, last = _range(str(port.get("published") or ""))
            if first:
                wanted.append(
                    WantedPort(
                        service=name,
                        address=str(port.get("host_ip") or ""),
                        first=first,
                        last=last,
                        protocol=str(port.get("protocol") or "tcp"),
                    )
                )
    return wanted


HeldByProcess = Callable[[WantedPort, int], bool]
"""Whether some process of the engine's host holds this number of a wanted port."""


async def taken_ports(
    engine: Engine, wanted: Sequence[WantedPort], *, own: Collection[str], held: HeldByProcess | None
) -> list[Conflict]:
    """The ports among `wanted` that neither nobody nor a container in `own` (ids) holds.

    Without `held` only containers are looked at. Raises what `Engine.containers` raises.
    """
    if not wanted:
        return []
    containers = await engine.containers()
    return [
        conflict
        for port in wanted
        if (conflict := await asyncio.to_thread(_conflict, port, containers, own=own, held=held))
    ]


def _conflict(
    wanted: WantedPort, containers: Sequence[Container], *, own: Collection[str], held: HeldByProcess | None
) -> Conflict | None:
    """None as soon as one port of the range is free."""
    holders: list[str] = []
    for number in range(wanted.first, wanted.last + 1):
        holding = _holding(wanted, number, containers)
        others = [container for container in holding if container.id not in own]
        if others:
            holders.append(_in_words(others[0]))
        elif not holding and held is not None and held(wanted, number):
            holders.append(_PROCESS)
        else:
            return None
    return Conflict(wanted=wanted, holders=tuple(dict.fromkeys(holders)))


def _holding(wanted: WantedPort, number: int, containers: Sequence[Container]) -> list[Container]:
    """Those that may hold the port; a crashed engine lists what ended meanwhile with the ports it had."""
    return [
        container
        for container in containers
        if container.state not in _PORTLESS
        and any(
            port.port == number
            and port.protocol == wanted.protocol
            and _overlap(wanted.address, port.address)
            for port in container.ports
        )
    ]


def _overlap(wanted: str, held: str) -> bool:
    """Whether two addresses share one: a wildcard covers its family, nothing stands for both families."""
    if not wanted or wanted == held:
        return True
    same_family = ip_address(wanted).version == ip_address(held).version
    return same_family and (wanted in _WILDCARDS or held in _WILDCARDS)


def _in_words(container: Container) -> str:
    project = container.labels.get(_PROJECT_LABEL)
    return f"container {container.name}" + (f" of Compose project {project}" if project else "")


def held_in(bound: Collection[BoundPort]) -> HeldByProcess:
    """By the tables of a kernel."""

    def held(wanted: WantedPort, number: int) -> bool:
        return any(
            one.port == number and one.protocol == wanted.protocol and _overlap(wanted.address, one.address)
            for one in bound
        )

    return held


def held_here(wanted: WantedPort, number: int) -> bool:
    """On this machine: whether a bind fails because the port is in use.

    Every other failure is the engine's to report.
    """
    kind = _KINDS.get(wanted.protocol)
    if kind is None:
        return False
    return any(
        _in_use(address, number, kind) for address in ([wanted.address] if wanted.address else _WILDCARDS)
    )


def _in_use(address: str, number: int, kind: socket.SocketKind) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, kind) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if kind == socket.SOCK_STREAM:
                # As the engine does: connections that are closing do not count, listeners do.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, number))
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def _range(published: str) -> tuple[int, int]:
    """`8080` or `8080-8089`; (0, 0) when the engine chooses."""
    first, _, last = published.partition("-")
    return (int(first), int(last or first)) if first else (0, 0)
