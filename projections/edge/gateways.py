"""Which adapter speaks with which kind of gateway, the `Edges` of a home, and who asks through them.

Imported early and cheap: an adapter, with what it needs of HTTP and YAML, comes with the first gateway.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from events.routes import Gateway
    from projections.edge.asking import Prober
    from projections.edge.port import Drain, Edge, Place


@dataclass(frozen=True, slots=True)
class GatewayEdges:
    """`Edges` over real gateways.

    `binding_key` is the home's (`Home.binding_key`), from which the passwords of gateways are derived; with
    an empty one those that ask for a password are told, and are `gateway-silent` when they are asked.
    """

    binding_key: bytes = field(repr=False)

    def at(self, place: Place, gateway: Gateway) -> Edge | None:
        """See the port."""
        if gateway.kind == "caddy":
            from projections.edge.caddy import CaddyEdge  # noqa: PLC0415  # as below

            return CaddyEdge(place, gateway)
        from projections.edge.traefik import TraefikEdge  # noqa: PLC0415  # HTTP and YAML come with it

        return TraefikEdge(place, gateway, binding_key=self.binding_key)

    async def drain(
        self, place: Place, gateway: Gateway, container_id: str, *, ports: Collection[int], elsewhere: bool
    ) -> Drain:
        """See the port."""
        from projections.edge.drain import drain  # noqa: PLC0415  # as above

        return await drain(place, gateway, container_id, ports=ports, elsewhere=elsewhere)


def prober() -> Prober:
    """Whoever asks while requests move."""
    from projections.edge.asking import Prober  # noqa: PLC0415  # HTTP comes with it

    return Prober()
