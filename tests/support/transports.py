"""Transports to hosts that are not there."""

from __future__ import annotations

from typing_extensions import override

from projections.transport.local import LocalTransport
from projections.transport.port import BoundPort


class ElsewhereTransport(LocalTransport):
    """A host whose ports are not this machine's, and free; its files are here all the same."""

    @property
    @override
    def here(self) -> bool:
        return False

    @override
    async def bound_ports(self) -> frozenset[BoundPort]:
        return frozenset()
