"""Simulated gateways: `Edges` without any Traefik, for tests that kill, starve and doubt.

The files are real: a simulated gateway is told in the same folder, by the same writes, as a real one, so what
a killed process left there is what it would leave in life. Only who reads them is played, by plain data: the
gateway's container is the engine's, and does as the folder says from the moment it is asked, unless its
`SimulatedGateway` has a fault. With `path` that data outlives this process, as an engine's world does.

`before` is called with a name and an argument ahead of each call (`told`, `tell`, `forget`, `confirm`,
`confirm_gone`, `counters`, `drain`, `left`) and after each one that changed something (`tell-done`,
`forget-done`, `confirm-done`); it may raise, kill its own process or play a person.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path

from events.kernel.errors import OutsideError, Where
from events.kernel.files import write_atomically
from events.routes import Gateway
from projections.edge.folder_edge import FolderEdge
from projections.edge.port import (
    GATEWAY_FILE_FOREIGN,
    GATEWAY_SILENT,
    ROUTE_NOT_CONFIRMED,
    Backends,
    Counters,
    Drain,
    Edge,
    Place,
    Told,
)
from projections.edge.traefik_files import written

_TAKES_SECONDS = 0.12  # what Traefik takes from a file's change to its answer, in the middle
_LOOK_SECONDS = 0.05

Before = Callable[[str, str], None]


@dataclass(slots=True, kw_only=True)
class SimulatedGateway:
    """What is wrong with the gateway of one host, and what it counted."""

    silent: bool = False  # nobody answers on its admin port
    stuck: bool = False  # it takes no change any more, and goes on with what it had
    takes_seconds: float = _TAKES_SECONDS
    requests: dict[str, int] = field(default_factory=dict[str, int])  # by service
    failed: dict[str, int] = field(default_factory=dict[str, int])
    bad_files: list[str] = field(default_factory=list[str])  # foreign files that it cannot read


@dataclass(slots=True, kw_only=True)
class EdgeWorld:
    """All gateways, and the connections that containers still have."""

    gateways: dict[str, SimulatedGateway] = field(default_factory=dict[str, SimulatedGateway])  # by host
    connections: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """By container: what each look at it finds open, one after the other; the last answer stays."""
    unseen: list[str] = field(default_factory=list[str])  # containers whose connections nobody can see

    def gateway(self, host: str) -> SimulatedGateway:
        """The gateway of a host."""
        return self.gateways.setdefault(host, SimulatedGateway())

    def to_json(self) -> bytes:
        """All of it."""
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def from_json(data: bytes) -> EdgeWorld:
        """The world that `to_json` wrote."""
        found = json.loads(data)
        found["gateways"] = {host: SimulatedGateway(**one) for host, one in found["gateways"].items()}
        return EdgeWorld(**found)


class SimulatedEdges:
    """`Edges` of one world."""

    def __init__(self, world: EdgeWorld | None = None, *, path: Path | None = None) -> None:
        """With `path` the world is the one in that file, now and at each call; else it is `world`."""
        self.before: Before | None = None
        self.calls: list[tuple[str, str]] = []
        self._world = world or EdgeWorld()
        self._path = path

    @property
    def world(self) -> EdgeWorld:
        """What there is; of a world in a file a copy, to be given back with `keep`."""
        if self._path is not None and self._path.exists():
            self._world = EdgeWorld.from_json(self._path.read_bytes())
        return self._world

    def keep(self, world: EdgeWorld) -> None:
        """Make this the world."""
        self._world = world
        if self._path is not None:
            write_atomically(self._path, world.to_json())

    def called(self, name: str, argument: str) -> None:
        """Note a call, or a moment of one."""
        self.calls.append((name, argument))
        if self.before is not None:
            self.before(name, argument)

    def at(self, place: Place, gateway: Gateway) -> Edge | None:
        """See the port; every kind is spoken with."""
        return SimulatedEdge(self, place, gateway)

    async def drain(
        self, place: Place, gateway: Gateway, container_id: str, *, ports: Collection[int], elsewhere: bool
    ) -> Drain:
        """See the port."""
        del gateway, ports, elsewhere
        self.called("drain", container_id)
        return SimulatedDrain(self, place, container_id)


class SimulatedEdge(FolderEdge):
    """The gateway of an environment on one host."""

    def __init__(self, edges: SimulatedEdges, place: Place, gateway: Gateway) -> None:
        """Its faults are the world's."""
        super().__init__(place, gateway)
        self._edges = edges

    async def told(self) -> Told:
        """See the port."""
        self._edges.called("told", self.host)
        return await super().told()

    async def tell(self, backends: Backends) -> None:
        """See the port."""
        self._edges.called("tell", backends.service)
        await super().tell(backends)
        self._edges.called("tell-done", backends.service)

    async def forget(self, service: str) -> None:
        """See the port."""
        self._edges.called("forget", service)
        await super().forget(service)
        self._edges.called("forget-done", service)

    async def confirm(self, backends: Backends, *, seconds: float) -> float:
        """See the port."""
        self._edges.called("confirm", backends.service)
        wanted = written(backends)

        async def done() -> bool:
            found = (await self._folder.told()).backends.get(backends.service)
            return found is not None and written(found) == wanted

        took = await self._await(done, seconds=seconds, what=backends.service)
        self._edges.called("confirm-done", backends.service)
        return took

    async def confirm_gone(self, name: str, *, seconds: float) -> float:
        """See the port."""
        self._edges.called("confirm_gone", name)

        async def done() -> bool:
            told = await self._folder.told()
            return all(one.name != name for one in told.backends.values())

        return await self._await(done, seconds=seconds, what=name)

    async def counters(self, backends: Backends) -> Counters:
        """See the port."""
        self._edges.called("counters", backends.service)
        played = await self._answering()
        service = backends.service
        return Counters(requests=played.requests.get(service, 0), failed=played.failed.get(service, 0))

    async def _answering(self) -> SimulatedGateway:
        played = self._edges.world.gateway(self.host)
        if played.silent or not await self.runs():
            raise self._error(GATEWAY_SILENT, "the gateway does not answer", "it does not run")
        return played

    async def _await(self, done: Callable[[], Awaitable[bool]], *, seconds: float, what: str) -> float:
        clock = self._place.clock
        begun = clock.monotonic()
        while True:
            played = await self._answering()
            bad = [name for name in (await self._folder.told()).foreign if name in played.bad_files]
            took = clock.monotonic() - begun
            moves = not bad and not played.stuck
            if moves and took >= min(played.takes_seconds, seconds) and await done():
                return took
            if took >= seconds:
                break
            await clock.sleep(min(_LOOK_SECONDS, max(seconds - took, 0.001)))
        if bad:
            message = f"the gateway takes no change, because it cannot read {bad[0]}"
            raise self._error(GATEWAY_FILE_FOREIGN, message, "")
        raise self._error(ROUTE_NOT_CONFIRMED, f"the gateway does not pass on {what} as it was told", "")

    def _error(self, code: str, message: str, why: str) -> OutsideError:
        return OutsideError(code, message, where=Where(host=self.host), why=why, next="look at its log")


class SimulatedDrain:
    """The watch over one container."""

    def __init__(self, edges: SimulatedEdges, place: Place, container_id: str) -> None:
        """What it finds is the world's."""
        self._edges = edges
        self._place = place
        self._container_id = container_id

    async def left(self) -> int | None:
        """See the port."""
        self._edges.called("left", self._container_id)
        detail = await self._place.engine.inspect(self._container_id)
        if detail is None or detail.pid <= 0:
            return 0
        world = self._edges.world
        if self._container_id in world.unseen:
            return None
        answers = world.connections.get(self._container_id) or [0]
        if len(answers) > 1:
            world.connections[self._container_id] = answers[1:]
            self._edges.keep(world)
        return answers[0]
