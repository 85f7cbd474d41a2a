"""What differed from what was deployed without a Release, and what was done about it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from events.catalog.base import Event, recorded

DriftPolicy = Literal["heal", "report", "hold"]


@recorded("environment")
class DriftDetected(Event):
    """What runs is not what is deployed."""

    host: str = Field(description="The host.")
    services: dict[str, str] = Field(description="`{service: what differs}`.")
    policy: DriftPolicy = Field(
        default="heal",
        description=(
            "What becomes of it: `heal`: it is mended; `report`: it is left as it is; `hold`: so it is, and "
            "nothing is deployed either until a person has looked."
        ),
    )


class LeftAsMade(BaseModel):
    """Fields in which what was just made anew differs as before: this engine makes the service so."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    service: str = Field(description="The service.")
    service_hash: str = Field(description="Its hash; with another one the fields are compared again.")
    fields: tuple[str, ...] = Field(description="The fields, sorted; they are no drift from now on.")


@recorded("environment")
class DriftHealed(Event):
    """What runs is what is deployed again."""

    host: str = Field(description="The host.")
    services: tuple[str, ...] = Field(description="The services that were mended, sorted.")
    left: tuple[LeftAsMade, ...] = Field(
        default=(), description="What a replacement did not change, so that it is not replaced for it again."
    )


@recorded("environment")
class BreakerOpened(Event):
    """Healing did not last; it rests until then, unless a new Release or a person comes first."""

    attempts: int = Field(description="Heals that did not last or could not be done.")
    until: datetime = Field(description="When healing is tried again.")
    reason: str = Field(description="What the last attempt showed.")


@recorded("environment")
class BreakerClosed(Event):
    """Healing is on again."""

    reason: Literal["cool-down", "resumed"] = Field(description="What ended the rest: its time, a person.")
    detail: str = Field(default="", description="A person's words.")
