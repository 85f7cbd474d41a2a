"""A server that leaves files out until they are looked at: real Git over HTTP, a simulated engine."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from controller.repositories import watched
from events.kernel.errors import OutsideError
from tests.integration.gitops.githost import GitHost, serving
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository, git


def runs(controller: SimulatedController, image: str) -> bool:
    """Whether what runs is made of this image."""
    world = controller.engine.world
    return world.named("shop-prod-web-1").image == world.images[image]


def test_commits_that_came_without_their_files_are_deployed_and_rollbacks_need_no_server(
    repository: Repository, tmp_path: Path
) -> None:
    git("config", "uploadpack.allowFilter", "true", cwd=repository.origin)
    controller = SimulatedController(repository=repository, folder=tmp_path / "home")
    controller.merge(web="web:1")
    with serving(GitHost(root=repository.origin.parent)) as port:
        url = f"http://127.0.0.1:{port}/origin.git"
        place = replace(controller.place(), watched=watched(controller.context.home, url, cwd=tmp_path))
        mirror = place.watched.mirror
        assert [one.status for one in controller.look_at(place)] == ["completed"]
        repository.branch("next")
        between = controller.merge(web="web:2")
        controller.merge(web="web:3")
        asyncio.run(mirror.fetch("next"))
        with mirror.repository() as opened:
            assert opened.has(between)
        assert not asyncio.run(mirror.has_files(between))
        git("push", "--quiet", "origin", f"{between}:main", cwd=repository.work)
        assert [one.status for one in controller.look_at(place)] == ["completed"]
        assert runs(controller, "web:2")
        assert [one.status for one in controller.look_at(place)] == ["in-sync"]
    shutil.rmtree(controller.context.home.mirrors)
    controller.rollback()
    assert runs(controller, "web:1")
    with pytest.raises(OutsideError) as caught:
        controller.look_at(place)
    assert caught.value.code == "git-unreachable"
    assert runs(controller, "web:1")
