"""`drain` and `undrain`, by simulated gateways: who gets requests, what is said, and what is left open."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.draining import Wanted, drain
from controller.locks import locked
from events.catalog.draining import TrafficDrained
from events.catalog.environment import EnvironmentSuspended
from events.kernel.errors import OutsideError, UserError
from tests.unit.controller.traffic_stage import TARGET, TrafficStage, shop
from tests.unit.projections.converge.hosts_scene import HostsScene
from tests.unit.projections.converge.scene import ENVIRONMENT, PROJECT, STREAM


@pytest.fixture
def stage(tmp_path: Path) -> TrafficStage:
    made = TrafficStage(HostsScene(tmp_path))
    assert made.deploy(shop()).status == "completed"
    assert made.serving() == ["app1", "app2"]
    return made


def test_a_drained_host_gets_no_requests_and_its_containers_run_on(stage: TrafficStage) -> None:
    before = stage.containers("app1")
    stage.scene.edges.world.connections[before[0]] = [3]
    told = stage.drain(Wanted(name="app1", reason="new disk"))
    assert (told.news, told.busy, told.open) == (True, "", 3)
    assert told.answering == {"web": ("app2",)}
    assert stage.serving() == ["app2"]
    assert (stage.containers("app1"), stage.scene.image("app1")) == (before, "web:1")
    assert stage.drain(Wanted(name="app1")).news is False
    assert stage.scene.types(STREAM).count("TrafficDrained") == 1


def test_it_stays_so_over_releases_and_heals_until_it_is_taken_back(stage: TrafficStage) -> None:
    stage.drain(Wanted(name="app1"))
    assert stage.deploy(shop("2")).status == "completed"
    assert (stage.serving(), stage.scene.images("app1", "app2")) == (["app2"], ["web:2", "web:2"])
    stage.keep()
    assert stage.serving() == ["app2"]
    told = stage.undrain("app1")
    assert (told.news, told.answering) == (True, {"web": ("app1", "app2")})
    assert stage.serving() == ["app1", "app2"]
    assert stage.scene.edges.calls[-1][0] == "confirm-done"


def test_a_drained_service_is_answered_by_nobody(stage: TrafficStage) -> None:
    told = stage.drain(Wanted(name="web"))
    assert (told.answering, stage.serving()) == ({"web": ()}, [])
    stage.undrain("web")
    assert stage.serving() == ["app1", "app2"]


def test_maintenance_waits_until_nothing_is_open(stage: TrafficStage) -> None:
    (first,) = stage.containers("app1")
    stage.scene.edges.world.connections[first] = [2, 1, 0]
    began = stage.scene.clock.monotonic()
    told = stage.drain(Wanted(name="app1", mode="maintenance"))
    assert (told.open, stage.scene.clock.monotonic() - began < 4) == (0, True)


def test_maintenance_waits_no_longer_than_a_drain_may_last(stage: TrafficStage) -> None:
    (first,) = stage.containers("app1")
    stage.scene.edges.world.connections[first] = [2]
    began = stage.scene.clock.monotonic()
    told = stage.drain(Wanted(name="app1", mode="maintenance"))
    assert (told.open, 4 <= stage.scene.clock.monotonic() - began < 6) == (2, True)


def test_what_cannot_be_counted_is_not_guessed(stage: TrafficStage) -> None:
    (first,) = stage.containers("app1")
    stage.scene.edges.world.unseen.append(first)
    assert stage.drain(Wanted(name="app1", mode="maintenance")).open is None
    stage.scene.lose("app1")
    assert stage.drain(Wanted(name="app1")).open is None


def test_it_is_applied_although_nothing_is_healed(stage: TrafficStage) -> None:
    stage.say(EnvironmentSuspended(reason="night"))
    stage.drain(Wanted(name="app1"))
    assert stage.serving() == ["app2"]


def test_a_gateway_that_does_not_confirm_is_an_error_and_the_wish_stands(stage: TrafficStage) -> None:
    stage.scene.edges.world.gateway("edge").stuck = True
    with pytest.raises(OutsideError, match="route-not-confirmed"):
        stage.drain(Wanted(name="app1"))
    assert stage.state.drained.hosts == {"app1"}


def test_a_name_without_requests_is_refused_before_anything_is_recorded(stage: TrafficStage) -> None:
    with pytest.raises(UserError, match="name-not-routed"):
        stage.drain(Wanted(name="gate"))
    assert "TrafficDrained" not in stage.scene.types(STREAM)


def test_beside_other_work_it_is_recorded_and_left_to_whoever_works_there(stage: TrafficStage) -> None:
    async def beside() -> None:
        context = stage.context
        async with locked(
            context.home.run, str(TARGET), clock=context.clock, purpose="a long deploy", deadline_seconds=0
        ):
            told = await drain(context, TARGET, Wanted(name="app1"), actor=stage.scene.recorder().actor)
        assert "a long deploy" in told.busy
        assert (told.news, told.open) == (True, None)

    asyncio.run(beside())
    assert stage.state.drained.hosts == {"app1"}
    assert stage.serving() == ["app1", "app2"]
    stage.keep()
    assert stage.serving() == ["app2"], "the next look of whoever keeps the environment does it"


def test_a_drain_during_a_release_that_was_cut_off_is_respected_by_its_end(stage: TrafficStage) -> None:
    stage.request(shop("2"))
    stage.say(TrafficDrained(kind="host", name="app2", mode="draining"))
    stage.keep()
    assert stage.context.environment(PROJECT, ENVIRONMENT).active is None
    assert (stage.serving(), stage.scene.images("app1", "app2")) == (["app1"], ["web:2", "web:2"])
