"""A transport that nothing is behind: for what only has to be there, and fails when it is used."""

from __future__ import annotations

from collections.abc import Sequence

from events.kernel.errors import OutsideError, Where
from projections.transport.port import (
    HOST_UNREACHABLE,
    BoundPort,
    HostConnection,
    HostFiles,
    Ran,
)


class UnconnectedTransport:
    """`Transport` to a host that never answers."""

    def __init__(self, host: str) -> None:
        self._host = host

    @property
    def host(self) -> str:
        """Its name."""
        return self._host

    @property
    def files(self) -> HostFiles:
        """None are reached."""
        raise self._silent()

    @property
    def here(self) -> bool:
        """It is elsewhere."""
        return False

    async def open(self) -> None:
        """It does not answer."""
        raise self._silent()

    async def run(
        self, argv: Sequence[str], *, seconds: float, stdin: bytes = b"", most: int = 1 << 20
    ) -> Ran:
        """It does not answer."""
        del argv, seconds, stdin, most
        raise self._silent()

    async def dial(self, address: str, port: int, *, seconds: float) -> HostConnection:
        """It does not answer."""
        del address, port, seconds
        raise self._silent()

    async def offer_port(self, port: int) -> None:
        """It does not answer."""
        del port
        raise self._silent()

    async def bound_ports(self) -> frozenset[BoundPort]:
        """It does not answer."""
        raise self._silent()

    async def machine(self) -> str:
        """It does not answer."""
        raise self._silent()

    def close(self) -> None:
        """Nothing is open."""

    def _silent(self) -> OutsideError:
        return OutsideError(HOST_UNREACHABLE, f"{self._host} does not answer", where=Where(host=self._host))
