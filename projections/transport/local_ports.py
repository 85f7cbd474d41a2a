"""The ports that processes of a machine hold, by the kernel's own tables: `/proc/net/tcp` and its like.

Of TCP only listeners count; a UDP socket that is bound holds its port. Parsing is pure, so that the tables of
another machine are read the same way.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from projections.transport.port import BoundPort

TABLES: Mapping[str, str] = {"tcp": "tcp", "tcp6": "tcp", "udp": "udp", "udp6": "udp"}
"""The files below `/proc/net`, and the protocol of each."""

_LISTENING = "0A"  # the kernel's number for the state, in hex
_FIELDS = 4  # number, local address, remote address, state
_V6_DIGITS = 32


def read_tables(folder: Path = Path("/proc/net")) -> frozenset[BoundPort]:
    """The ports of this machine's network namespace. Blocking. Raises OSError."""
    found = set[BoundPort]()
    for name, protocol in TABLES.items():
        path = folder / name
        if path.is_file():  # a kernel without IPv6 has none for it
            found |= set(bound_in(path.read_text().splitlines(), protocol=protocol))
    return frozenset(found)


def bound_in(lines: Iterable[str], *, protocol: str) -> Iterable[BoundPort]:
    """The ports in the lines of one table; a line that is none, as the first one, counts for nothing."""
    for line in lines:
        fields = line.split()
        if len(fields) < _FIELDS or not fields[0].endswith(":"):
            continue
        if protocol == "tcp" and fields[3] != _LISTENING:
            continue
        address, _, port = fields[1].partition(":")
        yield BoundPort(protocol=protocol, address=_address(address), port=int(port, 16))


def _address(digits: str) -> str:
    """`0100007F` is 127.0.0.1: each 32 bits in the machine's own order, which is little-endian here."""
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    raw = b"".join(struct.pack("<I", word) for word in words)
    return socket.inet_ntop(socket.AF_INET6 if len(digits) == _V6_DIGITS else socket.AF_INET, raw)
