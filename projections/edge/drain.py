"""Waiting for a container to let go: the connections that gateways have to it, as its kernel tells.

A gateway cannot say when a server is empty: it counts a request when it ends, and an idle connection, a
stream or a WebSocket never shows. The kernel of the container's host can: the tables of the container's own
network are in `/proc/<pid>/net`, readable for everybody, whatever the app is and speaks.

Who comes counts by its address. On the same host that is the gateway's own in a network that both are in;
through a published port it is the other host's address, or that of the network's own gateway, which speaks
for whoever comes through the engine's proxy. Connections of others, such as a worker that keeps one open to
the app, are nobody's business here: they are cut when the container stops, as with any replacement.

A process id says nothing on the wrong machine, or inside another namespace, so the process has to belong to
the container by its control group; otherwise nothing can be seen from here.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

from events.routes import Gateway
from projections.edge.port import Place
from projections.engine.port import Container, ContainerDetail
from projections.transport.port import Transport

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The kernel's numbers of states in which something may still be said: established; the last step of being
# made; the server has closed and what it said is under way; the client has closed and waits for the rest.
_OPEN = frozenset({"01", "03", "04", "08"})
_FIELDS = 4  # number, local address, remote address, state
_V6_DIGITS = 32
_TABLES = ("net/tcp", "net/tcp6")
_CAT_SECONDS = 10.0
_MOST_BYTES = 32 << 20  # a line is 150 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """Whose connections count."""

    addresses: frozenset[Address]
    inside: tuple[Network, ...] | None = None  # not None: whoever is in none of these networks counts, too

    def has(self, address: Address) -> bool:
        """Whether one who comes from there counts."""
        if address in self.addresses:
            return True
        if self.inside is None or address.is_loopback:
            return False
        return not any(address in network for network in self.inside)


def peers_of(container: ContainerDetail, gateways: Iterable[ContainerDetail], *, elsewhere: bool) -> Peers:
    """Who comes to a container for the sake of gateways: those on its host, and of other hosts."""
    gateways = tuple(gateways)
    addresses = {one.address for gateway in gateways for one in gateway.attachments}
    speakers = {one.gateway for one in container.attachments if one.gateway}
    if elsewhere or any(not gateway.attachments for gateway in gateways):  # one in the host's own network
        addresses |= speakers
    inside = tuple(ip_network(f"{one.address}/{one.prefix}", strict=False) for one in container.attachments)
    return Peers(
        addresses=frozenset(ip_address(one) for one in addresses), inside=inside if elsewhere else None
    )


def open_in(tables: Iterable[str], *, ports: Collection[int], peers: Peers) -> int:
    """How many open connections the lines of tables have, from `peers` to one of `ports`."""
    return sum(1 for port, peer in _connections(tables) if port in ports and peers.has(peer))


async def connections(
    transport: Transport, container: ContainerDetail, *, ports: Collection[int], peers: Peers
) -> int | None:
    """Open connections from `peers` to `ports` of a container on the transport's host.

    0 when it does not run. None: its process is not to be seen there. Raises OSError and OutsideError with a
    code in `HOST_SILENT`.
    """
    if container.pid <= 0:
        return 0
    said = await _said(transport, container.pid)
    if said is None or container.container.id not in said[0]:
        return None
    return open_in(said[1].splitlines(), ports=ports, peers=peers)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerDrain:
    """`Drain` of one container. Who its gateways are is known from the beginning."""

    place: Place
    container_id: str
    ports: frozenset[int]
    peers: Peers

    async def left(self) -> int | None:
        """See the port."""
        detail = await self.place.engine.inspect(self.container_id)
        if detail is None or detail.pid <= 0:
            return 0
        left = await connections(self.place.transport, detail, ports=self.ports, peers=self.peers)
        if left is None:  # it ended in between, or is not to be seen
            detail = await self.place.engine.inspect(self.container_id)
            return 0 if detail is None or detail.pid <= 0 else None
        return left


async def drain(
    place: Place, gateway: Gateway, container_id: str, *, ports: Collection[int], elsewhere: bool
) -> ContainerDrain:
    """See `Edges.drain`."""
    gateways = [
        detail
        for one in await gateways_at(place, gateway)
        if (detail := await place.engine.inspect(one.id)) is not None
    ]
    container = await place.engine.inspect(container_id)
    peers = (
        Peers(addresses=frozenset())
        if container is None
        else peers_of(container, gateways, elsewhere=elsewhere)
    )
    return ContainerDrain(place=place, container_id=container_id, ports=frozenset(ports), peers=peers)


async def gateways_at(place: Place, gateway: Gateway) -> Sequence[Container]:
    """The gateway's containers that run on a host."""
    found = await place.containers()
    return [
        one for one in found if one.service == gateway.service and not one.one_off and one.state == "running"
    ]


async def _said(transport: Transport, pid: int) -> tuple[str, str] | None:
    """The control group of a process, and the lines of its tables; None when there is no such process."""
    if transport.here:
        return await asyncio.to_thread(_said_here, Path(f"/proc/{pid}"))
    paths = [f"/proc/{pid}/{name}" for name in ("cgroup", *_TABLES)]
    ran = await transport.run(["cat", *paths], seconds=_CAT_SECONDS, most=_MOST_BYTES)
    text = ran.stdout.decode("ascii", errors="replace")
    return (text, text) if text else None  # a kernel without IPv6 has no table for it, and `cat` says so


def _said_here(folder: Path) -> tuple[str, str] | None:
    try:
        group = (folder / "cgroup").read_text(encoding="ascii", errors="replace")
        found = [folder / name for name in _TABLES]
        tables = [path.read_text(encoding="ascii") for path in found if path.exists()]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return group, "".join(tables)


def _connections(lines: Iterable[str]) -> Iterator[tuple[int, Address]]:
    """Own port and peer of each open connection."""
    for line in lines:
        fields = line.split()
        if len(fields) < _FIELDS or not fields[0].endswith(":") or fields[3] not in _OPEN:
            continue
        yield int(fields[1].rpartition(":")[2], 16), _address(fields[2].rpartition(":")[0])


def _address(digits: str) -> Address:
    """As in `local_ports`; an IPv4 peer of a socket that takes both families is that IPv4 address."""
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    raw = b"".join(struct.pack("<I", word) for word in words)
    found: Address = IPv6Address(raw) if len(digits) == _V6_DIGITS else IPv4Address(raw)
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
