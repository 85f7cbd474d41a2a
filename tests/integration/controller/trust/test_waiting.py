"""What a daemon does while the tip is refused, and what was accepted still waits."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from controller.daemon import Daemon
from controller.source import Source
from gitops.config.controller import ControllerFile
from tests.integration.controller.trust.scene import Scene
from tests.support.repos import git


def _daemon(scene: Scene) -> Daemon:
    context = scene.controller.context
    source = Source(context=context, place=scene.controller.place(), config_path="stagecraft.yml")
    return Daemon(
        context=context,
        sources=[source],
        settings=ControllerFile(),
        say=scene.controller.said.append,
        whisper=lambda _: None,
    )


@pytest.mark.parametrize("kind", ["refused", "unusable"])
def test_a_pass_leaves_the_reason_of_a_refusal_in_place(scene: Scene, kind: str) -> None:
    scene.merge(scene.alice, web="web:1")

    async def story() -> None:
        daemon = _daemon(scene)
        await daemon.look()
        await daemon.keeper.queues.finished()
        if kind == "refused":
            scene.merge(None, web="web:2")
        else:
            scene.merge(scene.alice, web="web:2", project="project: [")
        await daemon.look()
        before = scene.controller.types
        daemon.keeper.queues.wake("shop/prod", "pass")
        await daemon.keeper.queues.finished()
        assert scene.controller.types == before
        assert scene.controller.state.git.failure is not None
        scene.controller.engine.world.containers.clear()
        daemon.keeper.queues.wake("shop/prod", "engine")
        await daemon.keeper.queues.finished()
        assert scene.controller.types[-1] == "DriftHealed"
        assert scene.controller.state.git.failure is not None
        scene.merge(scene.alice, web="web:3", project="project: {name: shop}\nenvironments: {prod: {}}\n")
        await daemon.look()
        await daemon.keeper.queues.finished()

    asyncio.run(story())
    assert scene.controller.state.git.failure is None
    assert scene.runs("web:3")


def test_what_was_accepted_and_held_back_waits_while_the_tip_is_refused(scene: Scene) -> None:
    scene.merge(scene.alice, web="web:1")

    async def story() -> None:
        daemon = _daemon(scene)
        await daemon.look()
        await daemon.keeper.queues.finished()
        await asyncio.to_thread(scene.controller.hold)
        accepted = scene.merge(scene.alice, web="web:2")
        await daemon.look()
        await daemon.keeper.queues.finished()
        scene.merge(None, web="web:3")
        await daemon.look()
        await asyncio.to_thread(scene.controller.resume)
        daemon.keeper.queues.wake("shop/prod", "pass")
        await daemon.keeper.queues.finished()
        assert scene.runs("web:1")
        failure = scene.controller.state.git.failure
        assert failure is not None
        assert failure.code == "commit-unsigned"
        git("push", "--quiet", "--force", "origin", f"{accepted}:main", cwd=scene.repository.work)
        await daemon.look()
        await daemon.keeper.queues.finished()

    asyncio.run(story())
    assert scene.controller.state.git.failure is None
    assert scene.runs("web:2")


def test_a_look_at_an_accepted_tip_asks_no_keys(scene: Scene, tmp_path: Path) -> None:
    scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    nowhere = tmp_path / "nowhere"
    scene.controller.verification = replace(scene.controller.verification, signers=nowhere)
    (outcome,) = scene.controller.look()
    assert outcome.status == "in-sync"
