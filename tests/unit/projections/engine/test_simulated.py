"""What the simulated engine does beyond the port: faults, moments, a world that outlives its user."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError
from events.kernel.process import run
from projections.engine.port import App
from projections.engine.simulated import SimulatedEngine
from projections.engine.simulated_world import Life, World, opened
from tests.support.time import FakeClock

IMAGE = f"sha256:{'1' * 64}"
OTHER = f"sha256:{'2' * 64}"


def app(image: str = "web:1") -> App:
    return App(compose_project="shop-prod", document={"services": {"web": {"image": image}}})


def engine(path: Path | None = None) -> SimulatedEngine:
    made = SimulatedEngine(clock=FakeClock(), path=path)
    with made.turn() as world:
        world.images.update({"web:1": IMAGE, "web:2": OTHER})
    return made


def up(one: SimulatedEngine, image: str = "web:1") -> None:
    asyncio.run(one.up(app(image), ["web"]))


class Killed(BaseException):
    """The process is gone."""


def dying_at(moment: str) -> Callable[[str, str], None]:
    def die(name: str, _argument: str) -> None:
        if name == moment:
            raise Killed

    return die


def test_a_port_of_the_engines_choice_is_another_one_after_each_start() -> None:
    engine = SimulatedEngine(clock=FakeClock())
    engine.world.images["web:1"] = "sha256:1"
    ports = [
        {"target": 80, "protocol": "tcp", "mode": "ingress", "host_ip": "127.0.0.1"},
        {"target": 81, "protocol": "tcp", "mode": "ingress", "published": "8081"},
    ]
    app = App(compose_project="shop", document={"services": {"web": {"image": "web:1", "ports": ports}}})

    async def run() -> None:
        await engine.up(app, ["web"])
        (first,) = await engine.containers()
        await engine.start(first.id)
        assert (await engine.containers())[0].ports == first.ports
        await engine.stop(first.id)
        await engine.start(first.id)
        (second,) = await engine.containers()
        numbers = [{port.target: port.port for port in one.ports} for one in (first, second)]
        assert numbers[0][81] == numbers[1][81] == 8081
        assert numbers[0][80] != numbers[1][80]

    asyncio.run(run())


def test_an_engine_that_hangs_is_unreachable_after_its_deadline() -> None:
    one = engine()
    one.world.answers_after = 3600.0
    with pytest.raises(OutsideError, match="engine-unreachable"):
        asyncio.run(one.containers())
    one.world.answers_after = 5.0
    assert asyncio.run(one.containers()) == []


@pytest.mark.parametrize(
    ("moment", "left"),
    [
        ("up", {"shop-prod-web-1": "running"}),
        ("up-made", {"shop-prod-web-1": "running", "half-made": "created"}),
        ("up-removed", {"half-made": "created"}),
        ("up-named", {"shop-prod-web-1": "created"}),
        ("up-done", {"shop-prod-web-1": "running"}),
    ],
)
def test_a_kill_inside_up_leaves_what_a_killed_compose_leaves(moment: str, left: dict[str, str]) -> None:
    one = engine()
    up(one)
    (old,) = one.world.ids("web")
    one.before = dying_at(moment)
    with pytest.raises(Killed):
        up(one, "web:2")
    half_made = f"{old[:12]}_shop-prod-web-1"
    found = {"half-made" if c.name == half_made else c.name: c.state for c in asyncio.run(one.containers())}
    assert found == left


def test_a_world_comes_back_from_its_bytes() -> None:
    one = engine()
    one.world.lives["web:1"] = Life(exits_after=0.5, exit_code=3, restarts=True, log=("no",))
    up(one)
    one.world.containers[one.world.ids("web")[0]].stopped = "paused"
    assert World.from_json(one.world.to_json()) == one.world


def test_a_second_engine_on_the_same_file_sees_what_the_first_did(tmp_path: Path) -> None:
    path = tmp_path / "world.json"
    up(engine(path))
    second = SimulatedEngine(clock=FakeClock(), path=path)
    (found,) = asyncio.run(second.containers())
    assert (found.name, found.state) == ("shop-prod-web-1", "running")
    with opened(path) as world:
        world.reachable = False
    with pytest.raises(OutsideError, match="engine-unreachable"):
        asyncio.run(second.containers())


def test_a_world_in_a_file_survives_the_kill_of_who_acts_on_it(tmp_path: Path) -> None:
    path = tmp_path / "world.json"
    up(engine(path))
    program = f"""
import asyncio, os, pathlib, signal
from events.kernel.clock import SystemClock
from projections.engine.port import App
from projections.engine.simulated import SimulatedEngine

def die(name, _):
    if name == "up-removed":
        os.kill(os.getpid(), signal.SIGKILL)

engine = SimulatedEngine(clock=SystemClock(), path=pathlib.Path({str(path)!r}))
engine.before = die
app = App(compose_project="shop-prod", document={{"services": {{"web": {{"image": "web:2"}}}}}})
asyncio.run(engine.up(app, ["web"]))
"""
    call = run([sys.executable, "-c", program], env=dict(os.environ), cwd=Path.cwd(), deadline_seconds=60)
    ended = asyncio.run(call)
    assert ended.code == -signal.SIGKILL, ended.stderr
    (found,) = asyncio.run(SimulatedEngine(clock=FakeClock(), path=path).containers())
    assert (found.image, found.state) == ("web:2", "created")
    assert found.name.endswith("_shop-prod-web-1")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["world.json", "world.json.lock"]


def test_turns_of_one_file_never_overlap(tmp_path: Path) -> None:
    path = tmp_path / "world.json"

    async def count() -> None:
        for _ in range(25):
            with opened(path) as world:
                world.made += 1

    async def both() -> None:
        await asyncio.gather(*(asyncio.to_thread(asyncio.run, count()) for _ in range(4)))

    asyncio.run(both())
    with opened(path) as world:
        assert world.made == 100
