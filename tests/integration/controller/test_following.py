"""A deploy while another process works on the environment: asked for at once, followed to its verdict."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.candidates import Subject
from controller.context import Context
from controller.deploying import deploy
from controller.look import keep
from controller.releasing import finish_active
from controller.tenures import tenure
from events.kernel.clock import SystemClock
from events.kernel.errors import UserError
from gitops.source.git import Repository as OpenRepository
from projections.converge.work import Verdict
from tests.support.controllers import PERSON, SimulatedController
from tests.support.repos import Repository


@pytest.fixture
def controller(repository: Repository, tmp_path: Path) -> SimulatedController:
    """One Release is deployed; the controller's clock is the real one from now on."""
    made = SimulatedController(repository=repository, folder=tmp_path / "home")
    made.merge(web="web:1")
    made.deploy()
    object.__setattr__(made.context, "clock", SystemClock())
    return made


async def _deploy(controller: SimulatedController, context: Context) -> Verdict:
    with OpenRepository(controller.repository.work) as opened:
        commit = opened.resolve("HEAD")
        subject = Subject(
            tree=opened.tree(commit.revision),
            revision=commit.revision,
            config_path="stagecraft.yml",
            project="shop",
            environment="prod",
        )
        return await deploy(context, subject, actor=PERSON)


async def _asked(controller: SimulatedController, requests: int) -> None:
    while controller.types.count("DeployRequested") < requests:  # noqa: ASYNC110  # the log has no event to await
        await asyncio.sleep(0.01)


def test_it_is_asked_for_at_once_and_done_when_the_lock_is_free(controller: SimulatedController) -> None:
    controller.merge(web="web:2")

    async def story() -> Verdict:
        async with asyncio.timeout(30):
            async with tenure(controller.context, "shop/prod", purpose="something long"):
                running = asyncio.create_task(_deploy(controller, controller.context))
                await _asked(controller, 2)
                assert controller.types.count("ReleaseStarted") == 1
            return await running

    verdict = asyncio.run(story())
    assert verdict.status == "completed"
    assert controller.state.deployed == verdict.release
    assert any("something long" in line for line in controller.said)


def test_the_holder_itself_may_finish_it(controller: SimulatedController) -> None:
    controller.merge(web="web:2")

    async def story() -> Verdict:
        async with asyncio.timeout(30):
            async with tenure(controller.context, "shop/prod", purpose="a look") as held:
                running = asyncio.create_task(_deploy(controller, controller.context))
                await _asked(controller, 2)
                await finish_active(held, "shop", "prod")
            return await running

    verdict = asyncio.run(story())
    assert verdict.status == "completed"
    assert controller.types.count("ReleaseStarted") == 2


def test_what_a_newer_request_superseded_is_said_and_not_run(controller: SimulatedController) -> None:
    controller.merge(web="web:2")

    async def story() -> Verdict:
        async with asyncio.timeout(30):
            async with tenure(controller.context, "shop/prod", purpose="a look"):
                first = asyncio.create_task(_deploy(controller, controller.context))
                await _asked(controller, 2)
                second = asyncio.create_task(_deploy(controller, controller.context))
                await _asked(controller, 3)
                with pytest.raises(UserError) as caught:
                    await first
                assert caught.value.code == "release-superseded"
            return await second

    assert asyncio.run(story()).status == "completed"
    assert controller.types.count("ReleaseStarted") == 2


def test_what_a_dead_process_left_half_way_is_superseded_by_what_was_asked_for_since(
    controller: SimulatedController,
) -> None:
    """Nothing of it is under way any more, so nobody is helped when it is done before the newer one."""
    controller.merge(web="web:2")

    class GoneError(BaseException):
        """The process ended."""

    def die(call: str, _argument: str) -> None:
        if call == "up_beside":
            raise GoneError

    async def first() -> None:
        controller.engine.before = die
        try:
            await _deploy(controller, controller.context)
        except GoneError:
            controller.engine.before = None

    asyncio.run(first())
    controller.merge(web="web:3")

    async def second() -> None:
        async with asyncio.timeout(30):
            async with tenure(controller.context, "shop/prod", purpose="the first, hanging"):
                running = asyncio.create_task(_deploy(controller, controller.context))
                await _asked(controller, 3)
            verdict = await running
            assert verdict.status == "completed"

    asyncio.run(second())
    found = [one.status for one in controller.state.releases.values()]
    assert found == ["completed", "superseded", "completed"]
    assert controller.types.count("ReleaseStarted") == 3
    outcome = asyncio.run(keep(controller.context, "shop", "prod"))
    assert outcome.status == "in-sync"
    (web,) = controller.engine.world.containers.values()
    assert web.image in {"web:3", controller.engine.world.images["web:3"]}
