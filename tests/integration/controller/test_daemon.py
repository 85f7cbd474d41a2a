"""The daemon on a simulated engine: what wakes which environment, healing that does not last, an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from controller.adapters import LateAdapters
from controller.daemon import Daemon
from controller.notify import Notice
from controller.repositories import WatchedBranch, watched
from controller.seal_places import SealFile
from controller.source import Source
from events.catalog.drift import BreakerOpened
from events.kernel.clock import SystemClock
from events.seals import read_seals
from events.streams import environment_stream
from gitops.config.controller import ControllerFile
from projections.engine.watch_port import EngineEvent
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository
from tests.support.stories import tell, until

_TOLD = ControllerFile.model_validate({"notify": {"command": ["true"]}})
_ENVIRONMENTS = "project: {name: shop}\nenvironments: {prod: {}, staging: {}}\n"


@dataclass(slots=True)
class ScriptedWatch:
    """Stands for the engine's event stream: says what a test puts in."""

    events: asyncio.Queue[EngineEvent] = field(default_factory=asyncio.Queue[EngineEvent])

    async def watch(self) -> AsyncGenerator[EngineEvent]:
        while True:
            yield await self.events.get()


@dataclass(slots=True)
class _Scene:
    controller: SimulatedController
    said: list[str] = field(default_factory=list[str])
    whispered: list[str] = field(default_factory=list[str])

    def daemon(self, *environments: str, settings: ControllerFile | None = None) -> Daemon:
        controller = self.controller
        repository = watched(
            controller.context.home, str(controller.repository.origin), cwd=controller.folder
        )
        place = WatchedBranch(watched=repository, branch="main", environments=environments)
        return Daemon(
            context=controller.context,
            sources=[Source(context=controller.context, place=place, config_path="stagecraft.yml")],
            settings=settings or ControllerFile(),
            say=self.said.append,
            whisper=self.whispered.append,
        )

    def notices(self, daemon: Daemon) -> list[Notice]:
        """What the daemon has queued to be told."""
        return daemon.notifier.waiting()

    async def looked(self, daemon: Daemon) -> None:
        """One look and all the work that follows."""
        await daemon.look()
        await daemon.keeper.queues.finished()


@pytest.fixture
def scene(repository: Repository, tmp_path: Path) -> _Scene:
    return _Scene(SimulatedController(repository=repository, folder=tmp_path / "home"))


def test_a_look_wakes_every_environment_of_a_new_commit_and_none_afterwards(scene: _Scene) -> None:
    scene.controller.merge(project=_ENVIRONMENTS, web="web:1")

    async def story() -> None:
        daemon = scene.daemon()
        await scene.looked(daemon)
        considered = [line for line in scene.whispered if "considered" in line]
        assert sorted(considered) == [
            "shop/prod: considered: new commit",
            "shop/staging: considered: new commit",
        ]
        await scene.looked(daemon)
        assert len([line for line in scene.whispered if "considered" in line]) == 2

    tell(story)
    assert scene.controller.types.count("ReleaseCompleted") == 2


def test_only_the_environments_that_were_asked_for_are_kept(scene: _Scene) -> None:
    scene.controller.merge(project=_ENVIRONMENTS, web="web:1")

    async def story() -> None:
        daemon = scene.daemon("staging")
        await scene.looked(daemon)
        daemon.keeper.hear(EngineEvent(environment="shop/prod", service="web", action="die"))
        daemon.keeper.hear(EngineEvent(environment="other/prod", service="web", action="die"))
        await daemon.keeper.queues.finished()

    tell(story)
    assert scene.controller.types.count("ReleaseCompleted") == 1
    assert not any("shop/prod" in line for line in scene.whispered)


def test_what_is_deployed_is_healed_although_git_does_not_answer(scene: _Scene) -> None:
    controller = scene.controller
    controller.merge(web="web:1")
    controller.look()
    controller.engine.world.containers.clear()
    controller.repository.origin.rename(controller.repository.origin.with_name("away.git"))
    tell(lambda: scene.looked(scene.daemon()))
    assert controller.engine.world.named("shop-prod-web-1").stopped is None
    failure = controller.context.observed.source_failure("shop/prod")
    assert failure is not None
    assert "DriftHealed" in controller.types


def test_a_source_that_answers_again_is_said_and_no_longer_shown(scene: _Scene) -> None:
    controller = scene.controller
    controller.merge(web="web:1")
    origin, away = controller.repository.origin, controller.repository.origin.with_name("away.git")

    async def story() -> None:
        daemon = scene.daemon()
        await scene.looked(daemon)
        stopping = asyncio.Event()
        running = asyncio.create_task(daemon.run(stopping))
        origin.rename(away)
        daemon.want_look("test")
        await until(lambda: controller.context.observed.source_failure("shop/prod") is not None)
        away.rename(origin)
        daemon.want_look("test")
        await until(lambda: controller.context.observed.source_failure("shop/prod") is None)
        stopping.set()
        await running

    # The heartbeat sleeps on this clock, so it must be one that really waits.
    object.__setattr__(controller.context, "clock", SystemClock())
    tell(story)
    assert "the repository answers again" in scene.said
    assert scene.said[-1] == "ended"


def test_what_was_recorded_is_sealed_beside_the_work(scene: _Scene, tmp_path: Path) -> None:
    controller = scene.controller
    controller.merge(web="web:1")
    path = tmp_path / "seals.jsonl"
    object.__setattr__(controller.context, "clock", SystemClock())
    settings = ControllerFile.model_validate({"seals": {"every_seconds": 1, "to": [{"file": str(path)}]}})

    async def story() -> None:
        daemon = scene.daemon(settings=settings)
        daemon.seal_places = (SealFile(path, name="file"),)
        stopping = asyncio.Event()
        running = asyncio.create_task(daemon.run(stopping))
        await until(lambda: "ReleaseCompleted" in controller.types and path.exists())
        stopping.set()
        await running

    tell(story)
    for seal in read_seals(path):
        assert seal.hash == controller.log.anchor(seal.position).hash.hex()
    assert controller.types.count("SealMade") >= len(read_seals(path)) >= 1


def test_an_event_of_the_engine_heals(scene: _Scene) -> None:
    controller = scene.controller
    controller.merge(web="web:1")
    script = ScriptedWatch()
    object.__setattr__(controller.context, "clock", SystemClock())
    adapters = replace(controller.context.adapters.wired, watches={"local": script})
    object.__setattr__(controller.context, "adapters", LateAdapters(lambda: adapters))

    async def story() -> None:
        daemon = scene.daemon()
        stopping = asyncio.Event()
        running = asyncio.create_task(daemon.run(stopping))
        await until(lambda: "ReleaseCompleted" in controller.types)
        controller.engine.world.containers.clear()
        script.events.put_nowait(EngineEvent(environment="shop/prod", service="web", action="die"))
        await until(lambda: "DriftHealed" in controller.types)
        stopping.set()
        await running

    tell(story)
    assert controller.engine.world.named("shop-prod-web-1").stopped is None


def test_healing_that_does_not_last_opens_the_breaker(scene: _Scene) -> None:
    controller = scene.controller
    controller.merge(web="web:1")

    async def story() -> None:
        daemon = scene.daemon()
        await scene.looked(daemon)
        for _ in range(5):
            assert "BreakerOpened" not in controller.types
            controller.engine.world.containers.clear()
            daemon.keeper.queues.wake("shop/prod", "test")
            await daemon.keeper.queues.finished()
        await daemon.keeper.queues.cancel()

    tell(story)
    assert controller.types.count("DriftHealed") == 5
    assert controller.types.count("BreakerOpened") == 1
    assert any("healing rests for 300 s" in line for line in scene.said)


def test_a_container_that_ends_every_quarter_of_a_minute_opens_the_breaker(scene: _Scene) -> None:
    controller = scene.controller
    controller.merge(web="web:1")

    async def dies(daemon: Daemon) -> None:
        controller.clock.advance(15)
        controller.engine.world.containers.clear()
        daemon.keeper.queues.wake("shop/prod", "test")
        await daemon.keeper.queues.finished()

    async def story() -> None:
        daemon = scene.daemon()
        await scene.looked(daemon)
        for _ in range(5):
            await dies(daemon)
        daemon = scene.daemon()  # a restart hides nothing
        await daemon.look()
        for _ in range(5):
            assert "BreakerOpened" not in controller.types
            await dies(daemon)
        assert "BreakerOpened" in controller.types
        await daemon.keeper.queues.cancel()

    tell(story)
    assert any("10 heals in 10 minutes" in line and "stagecraft resume" in line for line in scene.said)


def test_a_person_ends_the_rest_of_healing(scene: _Scene) -> None:
    controller = scene.controller
    controller.merge(web="web:1")
    controller.look()
    _open_breaker(controller)
    controller.engine.world.containers.clear()
    assert not controller.look()[0].healed
    controller.resume()
    assert controller.types[-1] == "BreakerClosed"
    assert controller.look()[0].healed


def test_a_recovery_is_told_although_the_daemon_was_started_anew(scene: _Scene) -> None:
    controller = scene.controller
    controller.merge(web="web:1")
    controller.look()
    controller.merge(project="project: [", web="web:2")

    async def story() -> None:
        await scene.looked(scene.daemon(settings=_TOLD))
        again = scene.daemon(settings=_TOLD)
        await scene.looked(again)
        assert scene.notices(again) == []
        controller.merge(web="web:3")
        await scene.looked(again)
        assert [notice.event for notice in scene.notices(again)] == ["recovered"]
        third = scene.daemon(settings=_TOLD)
        await scene.looked(third)
        assert scene.notices(third) == []

    tell(story)


def test_the_end_of_a_staleness_is_told_although_the_daemon_was_started_anew(scene: _Scene) -> None:
    controller = scene.controller
    controller.merge(web="web:1")
    controller.look()
    origin, away = controller.repository.origin, controller.repository.origin.with_name("away.git")
    origin.rename(away)

    async def story() -> None:
        await scene.looked(scene.daemon(settings=_TOLD))
        controller.clock.advance(601)
        stale = scene.daemon(settings=_TOLD)
        await scene.looked(stale)
        assert [notice.event for notice in scene.notices(stale)] == ["stale"]
        away.rename(origin)
        again = scene.daemon(settings=_TOLD)
        await scene.looked(again)
        assert [notice.event for notice in scene.notices(again)] == ["recovered"]

    tell(story)


def test_an_open_breaker_rests_until_its_time_is_over(scene: _Scene) -> None:
    controller = scene.controller
    controller.merge(web="web:1")
    controller.look()
    _open_breaker(controller)
    controller.engine.world.containers.clear()
    (rests,) = controller.look()
    assert not rests.healed
    assert controller.types[-1] == "BreakerOpened"
    controller.clock.advance(301)
    (healed,) = controller.look()
    assert healed.healed
    assert controller.types[-4:] == ["BreakerClosed", "DriftDetected", "ServiceReplaced", "DriftHealed"]
    controller.look()
    assert controller.types.count("BreakerClosed") == 1


def test_a_new_release_closes_the_breaker(scene: _Scene) -> None:
    controller = scene.controller
    controller.merge(web="web:1")
    controller.look()
    _open_breaker(controller)
    controller.merge(web="web:2")
    (outcome,) = controller.look()
    assert outcome.status == "completed"
    controller.engine.world.containers.clear()
    assert controller.look()[0].healed


def _open_breaker(controller: SimulatedController) -> None:
    until = controller.clock.now() + timedelta(seconds=300)
    opened = BreakerOpened(attempts=5, until=until, reason="it ends")
    controller.context.recorder().append(environment_stream("shop", "prod"), opened)


def test_a_commit_that_cannot_be_used_is_said_once_and_is_no_silence_of_git(scene: _Scene) -> None:
    controller = scene.controller
    controller.merge(web="web:1")

    async def story() -> None:
        daemon = scene.daemon()
        await scene.looked(daemon)
        controller.merge(project="project: [", web="web:2")
        await scene.looked(daemon)
        await scene.looked(daemon)

    tell(story)
    assert len([line for line in scene.said if "config-invalid" in line]) == 1
    assert controller.context.observed.source_failure("shop/prod") is None
    assert controller.types.count("RevisionRejected") == 1
