"""Suspends and holds that end by themselves, seen by looks at a real repository."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.controllers import SimulatedController
from tests.support.repos import Repository


@pytest.fixture
def controller(repository: Repository, tmp_path: Path) -> SimulatedController:
    made = SimulatedController(repository=repository, folder=tmp_path / "home")
    made.merge(web="web:1")
    made.look()
    return made


def test_a_suspend_that_is_over_heals_and_deploys_what_waited(controller: SimulatedController) -> None:
    controller.suspend(until=controller.clock.now() + timedelta(hours=1))
    world = controller.engine.world
    del world.containers[world.named("shop-prod-web-1").id]
    controller.merge(web="web:2")
    (waits,) = controller.look()
    assert (waits.status, waits.healed, world.containers) == ("deferred", False, {})
    controller.clock.advance(3600)
    (done,) = controller.look()
    assert done.status == "completed"
    resumed = next(event for event in controller.log.read() if event.type == "EnvironmentResumed")
    assert (resumed.actor.kind, b'"expired"' in resumed.data) == ("schedule", True)


def test_a_hold_that_is_over_lets_the_merge_pass_also_for_a_person(controller: SimulatedController) -> None:
    controller.hold(until=controller.clock.now() + timedelta(hours=1))
    controller.merge(web="web:2")
    assert controller.look()[0].status == "deferred"
    controller.clock.advance(3600)
    assert controller.deploy().status == "completed"
    assert controller.state.hold is None
    assert controller.types.count("HoldCleared") == 1


def test_before_its_time_nothing_is_said(controller: SimulatedController) -> None:
    controller.hold(until=controller.clock.now() + timedelta(hours=1))
    controller.look()
    before = len(controller.types)
    controller.clock.advance(1800)
    controller.look()
    assert len(controller.types) == before
