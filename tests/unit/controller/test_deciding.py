"""Deciding on what is so now: a stream that moved in between is read again, a bounded number of times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from controller.decide.state import EnvironmentState
from controller.deciding import append_decided
from events.catalog import Event
from events.catalog.environment import HoldCleared, LockBroken
from events.log import VersionConflictError
from events.streams import environment_stream
from events.tokens import Tenure
from tests.support.controllers import PERSON, SimulatedController
from tests.support.repos import Repository

STREAM = environment_stream("shop", "prod")
BROKEN = LockBroken(holder_pid=1, since="", purpose="deploy", reason="it hangs")


class Restless:
    """Decides, and each of the first `times` times somebody breaks a lock meanwhile."""

    def __init__(self, controller: SimulatedController, times: int) -> None:
        self.controller = controller
        self.times = times
        self.versions: list[int] = []

    def __call__(self, state: EnvironmentState) -> tuple[Event, ...]:
        self.versions.append(state.version)
        if len(self.versions) <= self.times:
            self.controller.context.recorder(PERSON).append(STREAM, BROKEN)
        return (HoldCleared(reason="resumed"),)


@pytest.fixture
def controller(repository: Repository, tmp_path: Path) -> SimulatedController:
    return SimulatedController(repository=repository, folder=tmp_path / "home")


def test_a_lock_that_is_broken_meanwhile_makes_it_decide_again(controller: SimulatedController) -> None:
    decide = Restless(controller, times=1)
    context = replace(controller.context, tenure=Tenure.begin(controller.log, "shop/prod"))
    append_decided(context, "shop/prod", decide, recorder=context.recorder())
    assert decide.versions == [0, 1]
    assert controller.types == ["LockBroken", "HoldCleared"]


def test_under_the_lock_a_second_conflict_is_an_error(controller: SimulatedController) -> None:
    context = replace(controller.context, tenure=Tenure.begin(controller.log, "shop/prod"))
    with pytest.raises(VersionConflictError):
        append_decided(context, "shop/prod", Restless(controller, times=2), recorder=context.recorder())
    assert "HoldCleared" not in controller.types


def test_beside_another_process_it_tries_more_often_and_not_for_ever(controller: SimulatedController) -> None:
    context = controller.context
    append_decided(context, "shop/prod", Restless(controller, times=10), recorder=context.recorder())
    assert controller.types[-1] == "HoldCleared"
    with pytest.raises(VersionConflictError):
        append_decided(context, "shop/prod", Restless(controller, times=11), recorder=context.recorder())


def test_nothing_decided_appends_nothing(controller: SimulatedController) -> None:
    context = controller.context
    assert append_decided(context, "shop/prod", lambda _: (), recorder=context.recorder()) == ()
    assert controller.types == []
