"""A loop that kills a container again and again, for an hour: no storm in the log, none at the engine."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from pathlib import Path

from controller.daemon import Daemon
from controller.repositories import WatchedBranch, watched
from controller.source import Source
from events.catalog import decode
from events.catalog.running import ContainerStateChanged
from gitops.config.controller import ControllerFile
from projections.engine.watch_port import EngineEvent
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository

HOUR = 3600.0
_TURNS = 30  # of the loop, until a hint has led to a look


def _daemon(controller: SimulatedController) -> Daemon:
    repository = watched(controller.context.home, str(controller.repository.origin), cwd=controller.folder)
    place = WatchedBranch(watched=repository, branch="main")
    return Daemon(
        context=controller.context,
        sources=[Source(context=controller.context, place=place, config_path="stagecraft.yml")],
        settings=ControllerFile(),
        say=lambda _: None,
        whisper=lambda _: None,
    )


async def _kill(controller: SimulatedController, daemon: Daemon) -> None:
    """What a person's loop does in a second, and what the engine says of it."""
    web = controller.engine.world.holder("shop-prod-web-1")
    if web is not None and web.stopped is None:
        web.stopped, web.stopped_code = "exited", 137
        hint = EngineEvent(environment="shop/prod", service="web", action="die", host="local")
        daemon.keeper.hear(hint)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        await daemon.keeper.queues.finished()


def test_an_hour_of_killing_is_a_bounded_number_of_events_and_engine_calls(
    repository: Repository, tmp_path: Path
) -> None:
    controller = SimulatedController(repository=repository, folder=tmp_path / "home")
    controller.merge(web="web:1")
    controller.look()
    controller.engine.calls.clear()
    before, clock = len(controller.types), controller.clock

    async def story() -> None:
        daemon = _daemon(controller)
        await daemon.look()
        await daemon.keeper.queues.finished()
        end = clock.monotonic() + HOUR
        while clock.monotonic() < end:
            await _kill(controller, daemon)
            clock.advance(1.0)
        await daemon.keeper.queues.cancel()

    asyncio.run(story())
    appended = Counter(controller.types[before:])
    assert appended["DriftDetected"] - appended["DriftHealed"] in {0, 1}
    assert appended["DriftHealed"] <= 60, appended
    assert 1 <= appended["BreakerOpened"] <= 7, appended
    assert appended["ContainerStateChanged"] <= 61, appended
    calls = Counter(name for name, _ in controller.engine.calls)
    assert calls["start"] <= 60, calls
    assert sum(calls.values()) <= 1500, calls
    told = [decode(one) for one in controller.context.log.read(type_name="ContainerStateChanged")]
    times = [one.time for one in controller.context.log.read(type_name="ContainerStateChanged")]
    assert all((after - first).total_seconds() >= 60 for first, after in pairwise(times))
    counted = sum(one.count for one in told if isinstance(one, ContainerStateChanged))
    assert counted >= appended["DriftHealed"]
