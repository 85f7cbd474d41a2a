"""A wait for health makes way for what is asked for meanwhile: by a person, by Git, in any process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from controller.candidates import Subject
from controller.daemon import Daemon
from controller.decide.rollback import RollbackTarget
from controller.deploying import deploy
from controller.listed import listed_branches
from controller.look import consider, keep, look
from controller.rolling_back import rollback
from controller.source import Source
from controller.watching import fetch_tip, head_of, see
from events.catalog.release import ReleaseStarted
from events.kernel.clock import SystemClock
from events.kernel.errors import UserError
from gitops.config.controller import load_controller_file
from gitops.source.git import Repository as OpenRepository
from projections.converge.work import Verdict
from projections.engine.simulated_world import Life
from tests.support.controllers import PERSON, PROD, SimulatedController
from tests.support.repos import Repository, git
from tests.support.time import FakeClock

PATIENT = "project: {name: shop}\nenvironments: {prod: {gate: {settle: 100ms, deadline: 10m}}}\n"
IN_PLACE = PATIENT + "services: {web: {rollout: stop-first}}\n"
POLL = "poll: {interval: 200ms, jitter: 10ms, longest: 400ms, stale_after: 10m}\n"
NEVER = Life(healthy_after=1_000_000.0)
BACK = RollbackTarget(to_previous=True)


class RealTime(FakeClock):
    """The clock of this machine, for waits that something else is to end."""

    def __init__(self) -> None:
        super().__init__()
        self._real = SystemClock()

    @override
    def now(self) -> datetime:
        return self._real.now()

    @override
    def monotonic(self) -> float:
        return self._real.monotonic()

    @override
    async def sleep(self, seconds: float) -> None:
        await self._real.sleep(seconds)


@pytest.fixture
def controller(repository: Repository, tmp_path: Path) -> SimulatedController:
    """`web:1` is deployed; `web:2` is merged and never turns healthy, and its gate is patient."""
    return watched(repository, tmp_path, PATIENT)


@pytest.fixture
def in_place(repository: Repository, tmp_path: Path) -> SimulatedController:
    """The same, where a new container takes the place of the old one."""
    return watched(repository, tmp_path, IN_PLACE)


def watched(repository: Repository, folder: Path, project: str) -> SimulatedController:
    made = SimulatedController(repository=repository, folder=folder / "home", clock=RealTime())
    made.merge(project=project, web="web:1")
    assert made.look()[0].status == "completed"
    merged(made, "web:2", project=project)
    return made


@pytest.fixture
def by_hand(repository: Repository, tmp_path: Path) -> SimulatedController:
    """The same, where a person deploys and no branch is watched."""
    made = SimulatedController(repository=repository, folder=tmp_path / "home", clock=RealTime())
    made.merge(project=PATIENT, web="web:1")
    assert made.deploy().status == "completed"
    merged(made, "web:2")
    return made


def merged(controller: SimulatedController, image: str, *, life: Life = NEVER, project: str = PATIENT) -> str:
    world = controller.engine.world
    revision = controller.merge(project=project, web=image)
    world.lives[world.images[image]] = life
    return revision


def runs(controller: SimulatedController) -> list[str]:
    """The image of each container."""
    images = controller.engine.world.images
    names = {found: name for name, found in images.items() if name.startswith("web:")}
    return [names[one.image_id] for one in controller.engine.world.containers.values()]


def statuses(controller: SimulatedController) -> list[str]:
    return [one.status for one in controller.state.releases.values()]


def play(story: Awaitable[object]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(150):
            await story

    asyncio.run(bounded())


async def until(holds: Callable[[], bool]) -> None:
    """Return when it holds; the story's own deadline bounds the wait."""
    while True:
        if holds():
            return
        await asyncio.sleep(0.01)


async def waiting_for(controller: SimulatedController, image: str) -> None:
    """Return when a Release waits for the health of this image."""

    def waits() -> bool:
        running = controller.state.running
        return running is not None and runs(controller)[-1:] == [image]  # beside an older one

    await until(waits)


async def deploying(controller: SimulatedController) -> Verdict:
    with OpenRepository(controller.repository.work) as opened:
        commit = opened.resolve("HEAD")
        subject = Subject(
            tree=opened.tree(commit.revision),
            revision=commit.revision,
            config_path="stagecraft.yml",
            project="shop",
            environment="prod",
        )
        return await deploy(controller.context, subject, actor=PERSON)


async def rolling_back(controller: SimulatedController) -> Verdict:
    return await rollback(controller.context, PROD, to=BACK, reason="it is bad", actor=PERSON)


async def looking(controller: SimulatedController) -> str:
    (outcome,) = await look(controller.context, controller.place(), config_path="stagecraft.yml")
    return outcome.status


def test_a_rollback_beside_a_look_that_waits_is_done_at_once(controller: SimulatedController) -> None:
    async def story() -> None:
        look_under_way = asyncio.create_task(looking(controller))
        await waiting_for(controller, "web:2")
        verdict = await rolling_back(controller)
        assert verdict.status == "completed"
        assert runs(controller) == ["web:1"]
        assert await look_under_way == "completed"

    play(story())
    assert statuses(controller) == ["completed", "superseded", "completed"]
    hold = controller.state.hold
    assert hold is not None
    assert hold.reason == "it is bad"
    second = controller.state.releases[list(controller.state.releases)[1]]
    assert hold.bad == {second.digest}
    assert controller.look()[0].status in {"deferred", "in-sync"}
    assert runs(controller) == ["web:1"]


def test_who_waits_for_a_deploy_is_told_what_came_instead(by_hand: SimulatedController) -> None:
    async def story() -> None:
        first = asyncio.create_task(deploying(by_hand))
        await waiting_for(by_hand, "web:2")
        merged(by_hand, "web:3", life=Life())
        assert (await deploying(by_hand)).status == "completed"
        with pytest.raises(UserError) as caught:
            await first
        newest = by_hand.state.deployed
        assert caught.value.code == "release-superseded"
        assert "did not wait on" in caught.value.message
        assert str(newest) in caught.value.message
        assert caught.value.next == f"stagecraft releases show {newest}"

    play(story())
    assert runs(by_hand) == ["web:3"]


def test_healing_that_waits_makes_way(by_hand: SimulatedController) -> None:
    *_, web = by_hand.engine.world.containers.values()
    web.stopped, web.life = "exited", NEVER

    async def story() -> None:
        healing = asyncio.create_task(keep(by_hand.context, "shop", "prod"))
        await until(lambda: "DriftDetected" in by_hand.types and web.stopped is None)
        merged(by_hand, "web:3", life=Life())
        assert (await deploying(by_hand)).status == "completed"
        assert (await healing).status == "in-sync"

    play(story())
    assert any("healing makes way for" in line for line in by_hand.said)


def test_a_look_beside_another_process_asks_for_what_git_shows(controller: SimulatedController) -> None:
    async def story() -> None:
        first = asyncio.create_task(looking(controller))
        await waiting_for(controller, "web:2")
        merged(controller, "web:3", life=Life())
        assert await looking(controller) in {"completed", "in-sync"}
        assert await first == "completed"

    play(story())
    assert runs(controller) == ["web:3"]
    assert statuses(controller) == ["completed", "superseded", "completed"]


async def _left_by_a_crash(work: Coroutine[Any, Any, object], controller: SimulatedController) -> None:
    task = asyncio.create_task(work)
    await waiting_for(controller, "web:2")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_after_a_crash_in_the_wait_the_next_look_goes_on_with_what_git_shows_now(
    controller: SimulatedController,
) -> None:
    async def story() -> None:
        await _left_by_a_crash(looking(controller), controller)
        merged(controller, "web:3", life=Life())
        assert await looking(controller) == "completed"

    play(story())
    assert runs(controller) == ["web:3"]
    assert statuses(controller) == ["completed", "superseded", "completed"]


def test_after_a_crash_in_the_wait_a_deploy_does_not_take_it_up_again(by_hand: SimulatedController) -> None:
    async def story() -> None:
        await _left_by_a_crash(deploying(by_hand), by_hand)
        merged(by_hand, "web:3", life=Life())
        assert (await deploying(by_hand)).status == "completed"

    play(story())
    assert runs(by_hand) == ["web:3"]
    assert statuses(by_hand) == ["completed", "superseded", "completed"]


def test_a_deploy_that_is_refused_finishes_what_a_crash_left(by_hand: SimulatedController) -> None:
    async def story() -> None:
        await _left_by_a_crash(deploying(by_hand), by_hand)
        *_, web = by_hand.engine.world.containers.values()
        web.life = Life()
        by_hand.repository.commit({"compose.yaml": "services: {}\n"})
        with pytest.raises(UserError):
            await deploying(by_hand)

    play(story())
    assert statuses(by_hand) == ["completed", "completed"]


def test_an_older_sighting_decides_nothing_any_more(controller: SimulatedController) -> None:
    context, place = controller.context, controller.place()

    async def story() -> None:
        tip = await fetch_tip(context, place, await head_of(place))
        with tip.repository:
            older = await see(context, tip, config_path="stagecraft.yml")
            merged(controller, "web:3", life=Life())
            assert await looking(controller) == "completed"
            assert (await consider(context, older, "prod")).status == "in-sync"

    play(story())
    assert runs(controller) == ["web:3"]
    assert statuses(controller) == ["completed", "completed"]


def test_a_rollback_from_what_is_deployed_is_not_ended_by_git(controller: SimulatedController) -> None:
    merged(controller, "web:4", life=Life())
    assert controller.look()[0].status == "completed"
    controller.engine.world.lives[controller.engine.world.images["web:1"]] = NEVER

    async def story() -> None:
        person = asyncio.create_task(rolling_back(controller))
        await waiting_for(controller, "web:1")
        merged(controller, "web:3", life=Life())
        asking = asyncio.create_task(looking(controller))
        await until(lambda: any("waiting for another process" in line for line in controller.said))
        assert statuses(controller) == ["completed", "completed", "running"]
        *_, web = controller.engine.world.containers.values()
        web.life = Life()
        assert (await person).status == "completed"
        assert await asking == "completed"

    play(story())
    assert runs(controller) == ["web:3"]
    assert statuses(controller) == ["completed"] * 4


def test_a_rollback_to_what_is_deployed_is_ended_by_a_fix(in_place: SimulatedController) -> None:
    in_place.engine.world.lives[in_place.engine.world.images["web:1"]] = NEVER

    async def story() -> None:
        first = asyncio.create_task(looking(in_place))
        await waiting_for(in_place, "web:2")
        person = asyncio.create_task(rolling_back(in_place))
        await waiting_for(in_place, "web:1")
        merged(in_place, "web:3", life=Life(), project=IN_PLACE)
        await looking(in_place)
        with pytest.raises(UserError) as caught:
            await person
        assert caught.value.code == "release-superseded"
        assert await first == "completed"

    play(story())
    assert runs(in_place) == ["web:3"]
    assert statuses(in_place) == ["completed", "superseded", "superseded", "completed"]
    assert in_place.state.hold is None


def _daemon(controller: SimulatedController, folder: Path) -> Daemon:
    path = folder / "controller.yml"
    path.write_text(f"{POLL}repositories:\n  - {{url: {controller.repository.origin}}}\n")
    file = load_controller_file(path, required=True)
    context = controller.context
    return Daemon(
        context=context,
        sources=[
            Source(context=context, place=place, config_path="stagecraft.yml")
            for place in listed_branches(context.home, file, path=path)
        ],
        settings=file,
        say=controller.said.append,
        whisper=lambda _: None,
        grace_seconds=1,
    )


async def _daemon_running(daemon: Daemon, story: Callable[[], Awaitable[None]]) -> None:
    stopping = asyncio.Event()
    running = asyncio.create_task(daemon.run(stopping))
    try:
        await asyncio.wait_for(story(), 120)
    finally:
        stopping.set()
        await running


def test_the_daemon_deploys_what_is_merged_while_it_waits(
    controller: SimulatedController, tmp_path: Path
) -> None:
    """A fix, an unrelated commit, a storm of merges and a revert, each during a wait."""

    def seen(revision: str) -> bool:
        return any(f"main is at {revision[:12]}" in line for line in controller.said)

    async def story() -> None:
        await waiting_for(controller, "web:2")
        unrelated = controller.repository.commit({"README.md": "hello"})
        await until(lambda: seen(unrelated))
        assert statuses(controller) == ["completed", "running"]
        merged(controller, "web:3", life=Life())
        await until(lambda: statuses(controller) == ["completed", "superseded", "completed"])
        assert runs(controller) == ["web:3"]

        merged(controller, "web:4")
        await waiting_for(controller, "web:4")
        for number in (5, 6, 7):
            await until(partial(seen, merged(controller, f"web:{number}")))
        merged(controller, "web:8", life=Life())
        await until(lambda: controller.state.running is None and runs(controller) == ["web:8"])
        assert statuses(controller)[-1] == "completed"
        assert set(statuses(controller)[3:-1]) == {"superseded"}

        merged(controller, "web:9")
        await waiting_for(controller, "web:9")
        git("revert", "--no-edit", "HEAD", cwd=controller.repository.work)
        git("push", "--quiet", "origin", "main", cwd=controller.repository.work)
        await until(lambda: controller.state.running is None and runs(controller) == ["web:8"])
        assert statuses(controller)[-2:] == ["superseded", "completed"]

    play(_daemon_running(_daemon(controller, tmp_path), story))
    assert controller.types.count("RevertDetected") == 1
    assert "EnvironmentHeld" not in controller.types
    started = [one for one in controller.log.read() if one.type == ReleaseStarted.__name__]
    observed = {one.correlation for one in controller.log.read() if one.type == "RevisionObserved"}
    assert {one.correlation for one in started} <= observed


def test_an_image_that_ci_pushes_during_the_wait_ends_it(
    controller: SimulatedController, tmp_path: Path
) -> None:
    """The commit ends nothing before its image is there, and is looked up again beside the wait."""
    text = PATIENT.replace("name: shop", "name: shop, registry: registry.example/shop")
    image = "registry.example/shop/web:3"

    async def story() -> None:
        await waiting_for(controller, "web:2")
        controller.repository.commit(
            {"stagecraft.yml": text, "compose.yaml": f"services: {{web: {{image: '{image}'}}}}\n"}
        )
        await until(lambda: "ImageAwaited" in controller.types)
        assert statuses(controller) == ["completed", "running"]
        assert "ReleaseSuperseded" not in controller.types
        controller.engine.world.images[image] = controller.engine.world.images["web:1"]
        await until(lambda: statuses(controller) == ["completed", "superseded", "completed"])

    play(_daemon_running(_daemon(controller, tmp_path), story))
    assert "RenderFailed" not in controller.types
