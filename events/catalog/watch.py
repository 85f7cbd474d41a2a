"""The watch over what a Release has just brought: requests that fail then, or containers, take it back.

It begins with the Release's completion, in one append, so that a crash in between loses none. It ends once:
with nothing found, with a Release that goes back, or because somebody asked for something else meanwhile.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from events.catalog.base import Event, Failure, recorded

WatchEnd = Literal["requested", "held", "suspended", "drained", "steered", "destroyed"]


@recorded("environment")
class WatchBegun(Event):
    """A Release completed and is looked at for a while; one that fails then goes back."""

    release: str = Field(description="The Release.")
    services: tuple[str, ...] = Field(description="The services that it changed and that are watched.")
    until: datetime = Field(description="When the watch is over.")


@recorded("environment")
class WatchPassed(Event):
    """Nothing was found as long as the Release was watched."""

    release: str = Field(description="The Release.")
    requests: int = Field(
        default=0, description="Requests that gateways counted for the services meanwhile, as far as known."
    )
    failed: int = Field(default=0, description="Of these, the ones that were answered with 5xx.")


@recorded("environment")
class WatchFailed(Event):
    """What the Release brought fails; where there is something to go back to, a rollback comes with it."""

    release: str = Field(description="The Release.")
    failure: Failure = Field(description="What was found, with the service, the host and the figures.")
    requests: int = Field(
        default=0, description="Requests that gateways counted for the service meanwhile, as far as known."
    )
    failed: int = Field(default=0, description="Of these, the ones that were answered with 5xx.")


@recorded("environment")
class WatchEnded(Event):
    """Something else was asked for before the watch was over, so it says nothing about the Release."""

    release: str = Field(description="The Release.")
    reason: WatchEnd = Field(
        description=(
            "What ended it: another Release was `requested`, the environment `held`, `suspended`, `drained` "
            "or `destroyed`, or a watched service `steered`: stopped or restarted by a person."
        )
    )
