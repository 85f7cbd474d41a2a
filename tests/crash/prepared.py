"""The stage of a story: its repository, its engine's world and its home, up to where the act begins."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from projections.engine.simulated_world import ENDS_WELL, Life, opened
from tests.crash.player import Stage
from tests.crash.same_views import fold_views
from tests.crash.stories import PULLED, Story
from tests.support.repos import Repository


def prepared(folder: Path, story: Story) -> Stage:
    """The stage at the moment where the story's act begins."""
    folder.mkdir(parents=True, exist_ok=True)
    stage = Stage(folder=folder, repository=Repository.create(folder / "repository"))
    with opened(stage.world) as world:
        for name in (
            "web:1",
            "web:2",
            "bad:1",
            "slow:1",
            "worker:1",
            "more:1",
            "job:1",
            "job:2",
            "traefik:3",
        ):
            world.images[name] = image_id(name)
        for text in (PULLED, f"{PULLED}@{image_id(PULLED)}"):
            world.registry[text] = image_id(PULLED)
        for name in ("job:1", "job:2"):
            world.lives[image_id(name)] = ENDS_WELL
        world.lives[image_id("slow:1")] = Life(healthy_after=1_000_000.0)
        world.lives[image_id("web:1")] = Life(listens_after={80: 0.0})
        world.lives[image_id("bad:1")] = Life(exits_after=0.2, exit_code=3, log=("no database",))
    for step in story.before:
        step(stage)
        stage = stage.later()
    fold_views(stage)
    return stage


def copied(stage: Stage, folder: Path) -> Stage:
    """The same in another folder; the repository is shared, nobody writes there any more."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(stage.home.root, folder / "home")
    shutil.copy(stage.world, folder / "world.json")
    return replace(stage, folder=folder)


def image_id(reference: str) -> str:
    """What the simulated engine calls it."""
    return f"sha256:{reference.encode().hex().ljust(64, '0')[:64]}"
