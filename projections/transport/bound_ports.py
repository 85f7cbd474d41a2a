"""Which ports of a Linux machine are held, from the kernel's own tables.

A listener on all addresses of IPv6 takes IPv4 too unless it says otherwise, which the tables do not show. So
it counts for both, except where another one holds the same port of IPv4: then it did say otherwise.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from projections.transport.port import BoundPort

TABLES = ("/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6")

_HELD = {"tcp": "0A", "udp": "07"}  # listening; bound and not connected to anybody
_FIELDS = 4  # number, local address, remote address, state
_V4_DIGITS = 8
_ALL_V4, _ALL_V6 = str(IPv4Address(0)), str(IPv6Address(0))


def bound_ports_in(lines: str) -> frozenset[BoundPort]:
    """What the lines of the tables say, each with the table's path and a colon before it (`grep -H`)."""
    found = {port for line in lines.splitlines() if (port := _port(line)) is not None}
    both = {
        BoundPort(port.protocol, _ALL_V4, port.port)
        for port in found
        if port.address == _ALL_V6
        and not any(
            other.protocol == port.protocol and other.port == port.port and ":" not in other.address
            for other in found
        )
    }
    return frozenset(found | both)


def _port(line: str) -> BoundPort | None:
    table, _, row = line.partition(":")
    protocol = table.rpartition("/")[2].removesuffix("6")
    fields = row.split()
    if len(fields) < _FIELDS or protocol not in _HELD or fields[3] != _HELD[protocol]:
        return None
    address, _, number = fields[1].partition(":")
    return BoundPort(protocol, _address(address), int(number, 16))


def _address(digits: str) -> str:
    """An address as the kernel prints it: words of four bytes in the order of a little-endian machine."""
    packed = bytes.fromhex(digits)
    if len(digits) == _V4_DIGITS:
        return str(IPv4Address(packed[::-1]))
    words = b"".join(packed[start : start + 4][::-1] for start in range(0, len(packed), 4))
    found = IPv6Address(words)
    return str(found.ipv4_mapped or found)
