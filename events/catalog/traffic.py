"""What became of requests: which containers gateways pass them on to, and how the old ones let go."""

from __future__ import annotations

from pydantic import Field

from events.catalog.base import Event, recorded


@recorded("release")
class TrafficSwitched(Event):
    """Every gateway that runs passes requests of a service to its new containers on a host, and said so."""

    host: str = Field(description="The host of the containers.")
    service: str = Field(description="The service.")
    gateways: tuple[str, ...] = Field(
        description="Hosts whose gateway was told, sorted; one that did not run does as told once it runs."
    )
    old_ids: tuple[str, ...] = Field(
        description="Containers that get no new requests any more, 64 hex digits each."
    )
    new_ids: tuple[str, ...] = Field(description="Containers that get them instead, 64 hex digits each.")
    milliseconds: int = Field(description="From the first word to the last gateway's answer.")


@recorded("release")
class ConnectionsDrained(Event):
    """Nobody is connected to old containers through a gateway any more, or the limit of the wait was over."""

    host: str = Field(description="The host.")
    service: str = Field(description="The service.")
    containers: tuple[str, ...] = Field(description="The old containers, 64 hex digits each.")
    milliseconds: int = Field(description="How long that took since the switch, as far as it was watched.")
    cut: int = Field(description="Connections that were still open at the end and are cut.")


@recorded("release")
class TrafficRestored(Event):
    """Requests of a service go to the containers again that had them before the switch."""

    host: str = Field(description="The host.")
    service: str = Field(description="The service.")
    gateways: tuple[str, ...] = Field(description="Hosts whose gateway was told, sorted.")
    containers: tuple[str, ...] = Field(description="Containers that answer again, 64 hex digits each.")
    reason: str = Field(description="Why, in one sentence.")


@recorded("release")
class RoutesTold(Event):
    """Gateways were told of routes or containers without a switch, as when a route is another one."""

    gateways: tuple[str, ...] = Field(description="Hosts whose gateway was told, sorted.")
    services: tuple[str, ...] = Field(description="Services whose routes it is told of, sorted.")
    forgotten: tuple[str, ...] = Field(
        default=(), description="Services that it passes nothing on to any more."
    )
    reason: str = Field(description="Why: `routes`, `drift`, `restored` or a longer text.")
    milliseconds: int = Field(description="From the first word to the last gateway's answer.")
