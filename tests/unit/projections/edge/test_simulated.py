"""A gateway that is played: its faults, and a world that outlives who uses it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError
from projections.edge.port import GATEWAY_SILENT, ROUTE_NOT_CONFIRMED, Backends, Counters, Edge, Place
from projections.edge.simulated import EdgeWorld, SimulatedEdges
from projections.engine.simulated import SimulatedEngine
from projections.transport.local import LocalTransport
from tests.contract.edges import backends
from tests.support.time import FakeClock
from tests.support.traefik import GATEWAY

TOLD = backends("web", "aa")


class Scene:
    """A gateway of a world, and a container that it passed requests on to."""

    def __init__(self, folder: Path, edges: SimulatedEdges) -> None:
        self.clock = FakeClock()
        engine = SimulatedEngine(clock=self.clock)
        engine.add("gateway", found={"stagecraft.service": "gateway"})
        self.old = engine.add("web")
        self.engine, self.edges = engine, edges
        self.place = Place(
            project="shop",
            environment="prod",
            host="h1",
            folder=folder,
            transport=LocalTransport("h1"),
            engine=engine,
            containers=engine.containers,
            clock=self.clock,
        )

    @property
    def edge(self) -> Edge:
        made = self.edges.at(self.place, GATEWAY)
        assert made is not None
        return made

    def refused(self, told: Backends) -> str:
        async def run() -> str:
            await self.edge.tell(told)
            with pytest.raises(OutsideError) as caught:
                await self.edge.confirm(told, seconds=10)
            return caught.value.code

        return asyncio.run(run())

    def left(self) -> int | None:
        async def run() -> int | None:
            drain = await self.edges.drain(self.place, GATEWAY, self.old, ports=[8080], elsewhere=False)
            return await drain.left()

        return asyncio.run(run())


@pytest.fixture(params=["memory", "file"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    path = tmp_path / "world.json" if request.param == "file" else None
    return Scene(tmp_path / "environment", SimulatedEdges(path=path))


def test_one_that_is_stuck_or_silent_confirms_nothing(scene: Scene) -> None:
    for fault, code in (("stuck", ROUTE_NOT_CONFIRMED), ("silent", GATEWAY_SILENT)):
        world = EdgeWorld()
        setattr(world.gateway("h1"), fault, True)
        scene.edges.keep(world)
        assert scene.refused(TOLD) == code
        assert asyncio.run(scene.edge.told()).backends == {"web": TOLD}
    assert scene.clock.monotonic() < 11, "nobody is silent for ten seconds before he is said to be"
    scene.edges.keep(EdgeWorld())
    assert asyncio.run(scene.edge.confirm(TOLD, seconds=10)) < 1


def test_connections_end_as_the_world_says_and_with_the_container(scene: Scene) -> None:
    scene.edges.keep(EdgeWorld(connections={scene.old: [3, 1]}))
    assert [scene.left() for _ in range(3)] == [3, 1, 1]
    scene.edges.keep(EdgeWorld(unseen=[scene.old]))
    assert scene.left() is None
    asyncio.run(scene.engine.stop(scene.old))
    assert scene.left() == 0


def test_it_counts_what_the_world_says(scene: Scene) -> None:
    world = EdgeWorld()
    world.gateway("h1").requests["web"], world.gateway("h1").failed["web"] = 20, 3
    scene.edges.keep(world)
    assert asyncio.run(scene.edge.counters(TOLD)) == Counters(requests=20, failed=3)
    assert EdgeWorld.from_json(world.to_json()) == world


def test_whoever_wants_to_hears_of_each_moment(scene: Scene) -> None:
    heard: list[tuple[str, str]] = []
    scene.edges.before = lambda name, argument: heard.append((name, argument))

    async def run() -> None:
        await scene.edge.tell(TOLD)
        await scene.edge.confirm(TOLD, seconds=10)
        await scene.edge.forget("web")

    asyncio.run(run())
    moments = ["tell", "tell-done", "confirm", "confirm-done", "forget", "forget-done"]
    assert heard == [(name, "web") for name in moments] == scene.edges.calls
