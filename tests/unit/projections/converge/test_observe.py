"""Asking several hosts at once, of which one hangs or refuses."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from events.kernel.errors import OutsideError
from events.manifest import Manifest
from projections.converge.observe import observe
from projections.converge.site import Equipment
from projections.engine.port import Container
from projections.engine.simulated import SimulatedEngine
from tests.unit.projections.converge.scene import (
    HOST,
    Scene,
    Spec,
    another_machine,
    host_manifest,
    manifest_of,
)


class HangingEngine(SimulatedEngine):
    """Takes a question and never answers it."""

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        await asyncio.Event().wait()
        return await super().containers(compose_project)


def two_hosts() -> Manifest:
    one = manifest_of(web=Spec())
    return one.model_copy(update={"hosts": {**one.hosts, "far": host_manifest({"web": Spec()})}})


def equipped(scene: Scene, far: SimulatedEngine) -> Equipment:
    known = scene.equipment
    return replace(
        known, engines={HOST: scene.engine, "far": far}, roots={**known.roots, "far": scene.root / "far"}
    )


@pytest.fixture
def running(scene: Scene) -> Scene:
    scene.deploy(manifest_of(web=Spec()))
    return scene


def test_a_host_that_hangs_is_unknown_and_the_others_answer(running: Scene) -> None:
    equipment = equipped(running, HangingEngine(clock=running.clock))
    far, here = asyncio.run(observe(equipment, two_hosts(), host_seconds=0.2))
    assert (far.host, far.reachable, far.reason) == ("far", False, "it gave no answer within 0.2 s")
    assert (here.host, here.reachable) == (HOST, True)
    assert [len(one.containers) for one in here.services] == [1]
    assert running.observed.load("hello/prod") == (far, here)


def test_hosts_are_asked_side_by_side(running: Scene) -> None:
    together = asyncio.Barrier(2)

    class Meeting(SimulatedEngine):
        """Answers when the other one was asked too."""

        async def containers(self, compose_project: str | None = None) -> list[Container]:
            async with asyncio.timeout(10):
                await together.wait()
            return await super().containers(compose_project)

    equipment = replace(
        equipped(running, Meeting(clock=running.clock)),
        engines={HOST: Meeting(clock=running.clock), "far": Meeting(clock=running.clock)},
    )
    seen = asyncio.run(observe(equipment, two_hosts()))
    assert [one.reachable for one in seen] == [True, True]


def test_what_is_no_silence_is_raised_after_the_others_were_kept(running: Scene) -> None:
    far = SimulatedEngine(clock=running.clock)

    def refuse(_name: str, _argument: str) -> None:
        raise OutsideError("engine-refused", "no")

    far.before = refuse
    with pytest.raises(OutsideError, match="engine-refused"):
        asyncio.run(observe(equipped(running, far), two_hosts()))
    assert [one.host for one in running.observed.load("hello/prod")] == [HOST]


def test_a_name_that_leads_to_another_machine_is_unknown_and_shows_nothing_of_it(running: Scene) -> None:
    before = running.observed.load("hello/prod")
    running.engine.world.identity = another_machine()
    (seen,) = asyncio.run(observe(running.equipment, manifest_of(web=Spec())))
    assert seen.reachable is None
    assert seen.reason == f"the host {HOST} is not the machine and engine it was at first"
    assert (seen.services, seen.at) == (before[0].services, before[0].at)
