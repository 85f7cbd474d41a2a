"""The port to one gateway: which containers it passes a service's requests on to, and how it is told.

A gateway is told in one step and says whether it does as it was told: a route that nobody confirmed is not
changed. What it was told last is on its host, readable after a crash, and whole: so it is the record of who
serves. `told`, `tell` and `forget` are files of the host and need no gateway that runs; the others ask it.

A container on the gateway's own host is named by its id, which is never given to another one (its first 12
digits are its name in the networks that it shares with the gateway); a container on another host by that
host's address and the port there that its engine gave it, which is another after each start.

Nothing here passes a fence: who tells a gateway something has passed it before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict

from events.kernel.errors import error_code
from events.routes import Gateway, Route

if TYPE_CHECKING:
    from events.kernel.clock import Clock
    from projections.engine.port import Container, Engine
    from projections.transport.port import Transport

ROUTE_NOT_CONFIRMED = error_code(
    "route-not-confirmed", "A gateway was told where requests go and did not say in time that it does so."
)
GATEWAY_SILENT = error_code("gateway-silent", "The admin port of a gateway does not answer.")
GATEWAY_FILE_FOREIGN = error_code(
    "gateway-file-foreign",
    "A file in a gateway's folder is not ours and stops the gateway from taking changes.",
)
ROUTE_REFUSED = error_code("route-refused", "A route says something that no gateway may be told.")

NOT_CONFIRMED = frozenset({ROUTE_NOT_CONFIRMED, GATEWAY_SILENT, GATEWAY_FILE_FOREIGN})
"""With these a gateway was told, and does not do it as far as anybody knows."""


class Server(BaseModel):
    """One container that answers requests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str  # where it runs
    container: str  # id, 64 hex digits; empty: whoever has the service's name in the network
    addresses: dict[int, str]  # by port in the container: `name:port` as the gateway dials it
    weight: int = 1  # its share among all servers; 0: it gets no new requests


class Page(BaseModel):
    """What a gateway shows in place of a service, with status 503."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int  # in the containers that serve it
    path: str
    servers: tuple[Server, ...]  # none: nobody can be asked for it


class Backends(BaseModel):
    """All that a gateway is told of one service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str  # unique on the host: `<project>-<environment>-<service>`
    service: str
    routes: tuple[Route, ...]  # at least one, all of the service
    servers: tuple[Server, ...]  # none: nobody answers, and who asks is told so (503)
    retries: bool = False  # ask again while nobody takes the connection: for a service with a gap
    page: Page | None = None  # where nobody answers: what is shown; None: the gateway's own words

    def on(self, host: str) -> tuple[Server, ...]:
        """Those of one host."""
        return tuple(one for one in self.servers if one.host == host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is in a gateway's folder."""

    backends: Mapping[str, Backends] = field(default_factory=dict[str, Backends])  # by service
    altered: tuple[str, ...] = ()  # services whose file somebody changed; they count as not told; sorted
    foreign: tuple[str, ...] = ()  # paths in the folder of files that are not ours, sorted


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What a gateway has counted for a service since it was started; of `tcp` it counts nothing."""

    requests: int
    failed: int  # answered with 5xx


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An environment on one host, as far as gateways need it."""

    project: str
    environment: str
    host: str
    folder: PurePath  # the environment's on that host, absolute: `<root>/apps/<project>/<environment>`
    transport: Transport
    engine: Engine
    containers: Callable[[], Awaitable[Sequence[Container]]]  # the environment's there, adopted ones as ours
    clock: Clock


class Edge(Protocol):
    """The gateway of an environment on one host. Its errors name the host."""

    @property
    def host(self) -> str:
        """The host that it runs on."""
        ...

    async def runs(self) -> bool:
        """Whether a container of the gateway runs there now. Raises what `Engine.containers` raises.

        One that does not run is told all the same: it does as told from its start on, and is not asked.
        """
        ...

    async def told(self) -> Told:
        """What the folder says. Raises OSError, and OutsideError with a code in `HOST_SILENT`."""
        ...

    async def tell(self, backends: Backends) -> None:
        """Write what it is to do, in one step and flushed.

        Raises as `told`, and UserError `route-refused` for a route that could mean something else there.
        """
        ...

    async def forget(self, service: str) -> None:
        """Take a service's routes away; nothing happens when there are none. Raises as `told`."""
        ...

    async def confirm(self, backends: Backends, *, seconds: float) -> float:
        """Wait until it does as told, every one of its replicas; how long that took, in seconds.

        Raises OutsideError `route-not-confirmed` after `seconds` with the gateway's own words,
        `gateway-file-foreign` when a file that is not ours is the reason, and `gateway-silent` when it does
        not run or answer: `NOT_CONFIRMED` has all of them. Raises as `told` too.
        """
        ...

    async def confirm_gone(self, name: str, *, seconds: float) -> float:
        """Wait until it knows nothing of the `Backends.name`; raises as `confirm`."""
        ...

    async def counters(self, backends: Backends) -> Counters:
        """What it counted. Raises OutsideError `gateway-silent`."""
        ...


class Drain(Protocol):
    """The watch over a container that gets no new requests."""

    async def left(self) -> int | None:
        """Open connections from gateways to it, 0 also when it has ended; None: nobody here can see them.

        With None there is nothing better than to wait for as long as is allowed. Raises OSError, and
        OutsideError with a code in `HOST_SILENT` or `engine-unreachable`.
        """
        ...


class Edges(Protocol):
    """Makes what leads to gateways; holds nothing open."""

    def at(self, place: Place, gateway: Gateway) -> Edge | None:
        """The gateway of an environment on a host; None for a kind that nobody here speaks with."""
        ...

    async def drain(
        self, place: Place, gateway: Gateway, container_id: str, *, ports: Collection[int], elsewhere: bool
    ) -> Drain:
        """Watch a container at `place` let go; `ports` are those in the container that routes name.

        `elsewhere`: gateways of the environment run on other hosts, too; then whoever comes from outside the
        container's networks counts as one. Raises what `Engine.containers` and `Engine.inspect` raise.
        """
        ...
