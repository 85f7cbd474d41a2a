"""Environments that somebody else changed are looked at, once, and not while somebody works on them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.locks import locked
from controller.neighbours import Neighbours
from events.catalog.environment import EnvironmentHeld
from events.envelope import CONTROLLER, Actor
from events.kernel.errors import OutsideError
from events.log import LOG_UNAVAILABLE
from events.memory import MemoryEventLog
from events.streams import environment_stream
from tests.support.controllers import PERSON, SimulatedController
from tests.support.repos import Repository

_HELD = EnvironmentHeld(target="sha256:a", bad=(), clears="manual", reason="calm")


@dataclass(slots=True)
class _Street:
    controller: SimulatedController
    working: set[str] = field(default_factory=set[str])
    woken: list[str] = field(default_factory=list[str])
    neighbours: Neighbours = field(init=False)

    def __post_init__(self) -> None:
        self.neighbours = Neighbours(
            context=self.controller.context,
            working=lambda: self.working,
            known=lambda: ("shop/prod",),
            wake=lambda environment, _reason: self.woken.append(environment),
        )

    def writes(self, actor: Actor, *, environment: str = "prod") -> None:
        recorder = self.controller.context.recorder(actor)
        recorder.append(environment_stream("shop", environment), _HELD)


@pytest.fixture
def street(repository: Repository, tmp_path: Path) -> _Street:
    return _Street(SimulatedController(repository=repository, folder=tmp_path / "home"))


def test_what_a_person_or_another_controller_wrote_wakes_once(street: _Street) -> None:
    for actor in (PERSON, CONTROLLER):
        street.writes(actor)
        street.neighbours.look()
        street.neighbours.look()
    assert street.woken == ["shop/prod", "shop/prod"]


def test_our_own_work_wakes_nobody(street: _Street) -> None:
    street.working.add("shop/prod")
    street.writes(CONTROLLER)
    street.neighbours.look()
    street.writes(CONTROLLER)
    street.working.clear()
    street.neighbours.worked("shop/prod")
    street.neighbours.look()
    assert street.woken == []


def test_a_person_who_wrote_during_our_work_is_not_missed(street: _Street) -> None:
    street.working.add("shop/prod")
    street.writes(PERSON)
    street.neighbours.worked("shop/prod")
    street.neighbours.look()
    assert street.woken == ["shop/prod"]


def test_an_environment_that_is_not_kept_here_is_left_alone(street: _Street) -> None:
    street.writes(PERSON, environment="other")
    street.neighbours.look()
    assert street.woken == []


def test_while_somebody_holds_the_lock_it_is_left_to_them(street: _Street) -> None:
    context = street.controller.context

    async def somebody_works() -> None:
        held = locked(context.home.run, "shop/prod", clock=context.clock, purpose="test", deadline_seconds=1)
        async with held:
            street.writes(PERSON)
            street.neighbours.look()
            assert street.woken == []

    asyncio.run(somebody_works())
    street.neighbours.look()
    assert street.woken == ["shop/prod"]


class _UnreadableLog(MemoryEventLog):
    """A log whose disk has gone."""

    gone = False

    def head(self) -> int:
        if self.gone:
            raise OutsideError(LOG_UNAVAILABLE, "the disk has gone")
        return super().head()


def test_a_log_that_cannot_be_read_for_a_while_ends_nothing(repository: Repository, tmp_path: Path) -> None:
    log = _UnreadableLog()
    street = _Street(SimulatedController(repository=repository, folder=tmp_path / "home", log=log))
    log.gone = True
    street.neighbours.worked("shop/prod")

    async def beats() -> None:
        running = asyncio.create_task(street.neighbours.run())
        for _ in range(20):
            await asyncio.sleep(0)
        log.gone = False
        street.writes(PERSON)
        while not street.woken:
            assert not running.done()
            await asyncio.sleep(0)
        running.cancel()

    asyncio.run(asyncio.wait_for(beats(), 20))
