"""What people ask of the requests of an environment: none for a host, or for a service, until they say so.

Each says what is wanted, and comes before any gateway is told: whoever finds the log so, also after a crash
in between, brings the gateways there. Containers run on, and connections that are open go on.
"""

from __future__ import annotations

from pydantic import Field

from events.catalog.base import Event, recorded
from events.draining import DrainKind, DrainMode


@recorded("environment")
class TrafficDrained(Event):
    """A person wants no new requests for a service, or for the containers of a host, until `undrain`."""

    kind: DrainKind = Field(
        description="`host`: other hosts answer in its place; `service`: the gateway answers 503."
    )
    name: str = Field(description="The service or the host.")
    mode: DrainMode = Field(
        description=(
            "`draining`: what is open may go on as long as it likes; `maintenance`: work begins once nothing "
            "is open."
        )
    )
    reason: str = Field(default="", description="Why, in the person's words.")


@recorded("environment")
class TrafficUndrained(Event):
    """A person wants a service, or the containers of a host, to get requests again."""

    kind: DrainKind = Field(description="What it is.")
    name: str = Field(description="The service or the host.")
    reason: str = Field(default="", description="Why, in the person's words.")
