"""The helpers that pass published ports on for an engine, found among the processes of its host.

Docker starts a `docker-proxy` for each port that a container publishes, and it is that one which holds the
port. An engine that is killed while it begins a container may bring up such a helper when it is back, for a
container that never ran (20.10 does). No listing shows whom that port belongs to then, and none but the
engine gives it back: when it is restarted.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from projections.engine.ports import WantedPort

HELPER = "docker-proxy"
LISTING = ("sh", "-c", f"exec grep -ahs {HELPER} /proc/[0-9]*/cmdline")
"""Prints the words of each such process, a line each, with NULs between them; needs no rights."""


def helped(wanted: WantedPort, listing: bytes) -> bool:
    """Whether a helper holds one of the numbers of a wanted port, by what `LISTING` printed."""
    numbers = range(wanted.first, wanted.last + 1)
    return any((wanted.protocol, number) in set(_held(listing)) for number in numbers)


def _held(listing: bytes) -> Iterator[tuple[str, int]]:
    """Protocol and number of each port that a helper holds."""
    for line in listing.decode(errors="replace").splitlines():
        words = line.split("\0")
        if words[0].rpartition("/")[2] != HELPER:
            continue  # whoever looks for one, and a shell that speaks of it
        told = dict(pairwise(words))
        number = told.get("-host-port", "")
        if number.isdecimal():
            yield told.get("-proto", "tcp"), int(number)
