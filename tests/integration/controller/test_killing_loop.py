"""Somebody's loop kills a container every second: no storm of events or of calls, and healing afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from typing_extensions import override

from controller.breaker import ATTEMPTS, FIRST_COOL_DOWN
from controller.daemon import Daemon
from controller.queues import WorkQueues
from controller.repositories import WatchedBranch, watched
from controller.source import Source
from gitops.config.controller import ControllerFile
from projections.engine.watch_port import EngineEvent
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository
from tests.support.stories import tell
from tests.support.time import FakeClock, ManualClock

KILLS = 180  # three minutes
ENDED = EngineEvent(environment="shop/prod", service="web", action="die", host="local")
LONGEST_SAMPLE_SECONDS = 0.3  # between two looks of a gate, and before the first look after a hint
_TURNS = 20
_ACTING = ("up", "up_beside", "predict", "start", "stop", "remove")


@pytest.fixture
def controller(repository: Repository, tmp_path: Path) -> SimulatedController:
    return SimulatedController(repository=repository, folder=tmp_path / "home", clock=_Seconds())


class _Seconds(ManualClock):
    """The loop moves it by its second; only what is shorter than that moves it as well."""

    @override
    async def sleep(self, seconds: float) -> None:
        await (super().sleep(seconds) if seconds > LONGEST_SAMPLE_SECONDS else FakeClock.sleep(self, seconds))


def _daemon(controller: SimulatedController) -> Daemon:
    repository = watched(controller.context.home, str(controller.repository.origin), cwd=controller.folder)
    place = WatchedBranch(watched=repository, branch="main", environments=())
    return Daemon(
        context=controller.context,
        sources=[Source(context=controller.context, place=place, config_path="stagecraft.yml")],
        settings=ControllerFile(),
        say=lambda _line: None,
        whisper=lambda _line: None,
    )


def _state(controller: SimulatedController) -> str:
    (web,) = controller.engine.world.replicas("web")
    return controller.engine.world.moment(web, controller.clock.monotonic()).state


def _kill(controller: SimulatedController) -> None:
    """As `docker kill` does it, where there is one that runs."""
    for web in controller.engine.world.replicas("web"):
        web.stopped, web.stopped_code = "exited", 137


async def _calm(queues: WorkQueues) -> None:
    """Until nothing is under way that needs no more time."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
        await queues.finished()


@pytest.mark.parametrize("policy", ["start", "remove"], ids=["killed", "removed"])
def test_a_killing_loop_is_met_with_patience(controller: SimulatedController, policy: str) -> None:
    controller.merge(web="web:1", worker="web:1")
    before, calls = Counter[str](), 0

    async def story() -> None:
        nonlocal before, calls
        daemon = _daemon(controller)
        queues = daemon.keeper.queues
        await daemon.look()
        await queues.finished()
        before, calls = Counter(controller.types), len(controller.engine.calls)
        for _ in range(KILLS):
            if policy == "remove":
                for web in controller.engine.world.replicas("web"):
                    del controller.engine.world.containers[web.id]
            _kill(controller)
            daemon.keeper.hear(ENDED)
            await _calm(queues)
            controller.clock.advance(1.0)
        _is_calm(controller, before, calls)
        controller.clock.advance(FIRST_COOL_DOWN.total_seconds())
        daemon.keeper.wake_all("pass")
        await _calm(queues)
        await queues.cancel()

    tell(story)
    assert _state(controller) == "running"
    assert controller.types[-1] == "DriftHealed"
    assert controller.types.count("BreakerClosed") == 1


def _is_calm(controller: SimulatedController, before: Counter[str], calls: int) -> None:
    appended = Counter(controller.types) - before
    made = Counter(name for name, _ in controller.engine.calls[calls:])
    minutes = controller.clock.monotonic() / 60
    assert appended["BreakerOpened"] == 1
    assert appended["DriftDetected"] <= ATTEMPTS
    assert appended["ContainerStateChanged"] <= minutes + 1
    assert sum(appended.values()) <= 4 * ATTEMPTS + minutes + 2, appended
    assert sum(made[name] for name in _ACTING) <= 4 * ATTEMPTS, made
    assert sum(made.values()) <= KILLS, made
