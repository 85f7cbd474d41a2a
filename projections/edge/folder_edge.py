"""What all gateways have in common: each is told by the files in the route folder of its host.

Whether it runs is the engine's answer, what it was told is the folder's. A kind of gateway adds how it is
asked: what it confirms, and what it has counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.kernel.errors import Where
from projections.edge.drain import gateways_at
from projections.edge.folder import RouteFolder

if TYPE_CHECKING:
    from events.routes import Gateway
    from projections.edge.port import Backends, Place, Told


class FolderEdge:
    """The part of an `Edge` that needs no answer of the gateway itself."""

    def __init__(self, place: Place, gateway: Gateway) -> None:
        """Nothing is opened yet."""
        self._place = place
        self._gateway = gateway
        self._folder = RouteFolder(place)

    @property
    def host(self) -> str:
        """See the port."""
        return self._place.host

    async def runs(self) -> bool:
        """See the port."""
        return bool(await gateways_at(self._place, self._gateway))

    async def told(self) -> Told:
        """See the port."""
        return await self._folder.told()

    async def tell(self, backends: Backends) -> None:
        """See the port."""
        await self._folder.tell(backends)

    async def forget(self, service: str) -> None:
        """See the port."""
        await self._folder.forget(service)

    @property
    def _where(self) -> Where:
        """What its errors name."""
        return Where(host=self.host, environment=f"{self._place.project}/{self._place.environment}")
