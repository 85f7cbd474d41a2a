"""The port to one gateway: which containers it passes a service's requests on to, and how it is told.

A gateway is told in one step and says whether it does as it was told: a route that nobody confirmed is not
changed. What it was told last is on its host, readable after a crash, and whole: so it is the record of who
serves. `told` and `tell` are files of the host and need no gateway that runs; the others ask it.

A container on the gateway's own host is named by its id, which is never given to another one; a container on
another host by that host's address and the port there that its engine gave it, which is another after each
start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from events.kernel.errors import error_code
from events.routes import Route

ROUTE_NOT_CONFIRMED = error_code(
    "route-not-confirmed", "A gateway was told where requests go and did not say in time that it does so."
)
GATEWAY_SILENT = error_code("gateway-silent", "The admin port of a gateway does not answer.")
GATEWAY_FILE_FOREIGN = error_code(
    "gateway-file-foreign",
    "A file in a gateway's folder is not ours and stops the gateway from taking changes.",
)


class Server(BaseModel):
    """One container that answers requests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str  # where it runs
    container: str  # id, 64 hex digits; empty: whoever has the service's name in the network
    addresses: dict[int, str]  # by port in the container: `name:port` as the gateway dials it
    weight: int = 1


class Backends(BaseModel):
    """All that a gateway is told of one service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str  # unique on the host: `<project>-<environment>-<service>`
    service: str
    routes: tuple[Route, ...]  # at least one, all of the service
    servers: tuple[Server, ...]  # none: nobody answers, and who asks is told so (503)
    retries: bool = False  # ask again while nobody takes the connection: for a service with a gap

    def on(self, host: str) -> tuple[Server, ...]:
        """Those of one host."""
        return tuple(one for one in self.servers if one.host == host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is in a gateway's folder."""

    backends: Mapping[str, Backends] = field(default_factory=dict[str, Backends])  # by service
    altered: tuple[str, ...] = ()  # services whose file somebody changed; they count as not told
    foreign: tuple[str, ...] = ()  # names of files that are not ours, sorted


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What a gateway has counted for a service since it was started."""

    requests: int
    failed: int  # answered with 5xx


class Edge(Protocol):
    """The gateway of an environment on one host. Its errors name the host."""

    @property
    def host(self) -> str:
        """The host that it runs on."""
        ...

    async def told(self) -> Told:
        """What the folder says. Raises OSError, and OutsideError with a code in `HOST_SILENT`."""
        ...

    async def tell(self, backends: Backends) -> None:
        """Write what it is to do, in one step and flushed. Raises as `told`."""
        ...

    async def forget(self, service: str) -> None:
        """Take a service's routes away; nothing happens when there are none. Raises as `told`."""
        ...

    async def confirm(self, backends: Backends, *, seconds: float) -> float:
        """Wait until it does as told; how long that took, in seconds.

        Raises OutsideError `route-not-confirmed` after `seconds` (with the gateway's own words as far as it
        says why, such as a foreign file that it cannot read) and `gateway-silent` when it does not answer.
        """
        ...

    async def confirm_gone(self, name: str, *, seconds: float) -> float:
        """Wait until it knows no such service; raises as `confirm`."""
        ...

    async def counters(self, backends: Backends) -> Counters:
        """What it counted. Raises OutsideError `gateway-silent`."""
        ...
