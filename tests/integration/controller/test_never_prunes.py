"""A repository that suddenly asks for nothing: what runs goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from events.kernel.errors import StagecraftError
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository, git


@pytest.fixture
def running(repository: Repository, tmp_path: Path) -> SimulatedController:
    made = SimulatedController(repository=repository, folder=tmp_path / "home")
    made.merge(web="web:1", worker="worker:1")
    (outcome,) = made.look()
    assert outcome.status == "completed"
    return made


def no_project_file(repository: Repository) -> None:
    repository.commit({"stagecraft.yml": None})


def no_compose_file(repository: Repository) -> None:
    repository.commit({"compose.yaml": None})


def empty_tree(repository: Repository) -> None:
    git("rm", "-rq", ".", cwd=repository.work)
    repository.commit({})


def no_service(repository: Repository) -> None:
    repository.commit({"compose.yaml": "services: {}\n"})


def services_behind_profiles(repository: Repository) -> None:
    repository.commit({"compose.yaml": "services: {web: {image: 'web:1', profiles: [never]}}\n"})


def empty_compose_file(repository: Repository) -> None:
    repository.commit({"compose.yaml": ""})


def no_branch(repository: Repository) -> None:
    git("push", "-q", "origin", "main:other", cwd=repository.work)
    git("symbolic-ref", "HEAD", "refs/heads/other", cwd=repository.origin)
    git("push", "-q", "origin", ":main", cwd=repository.work)


def no_commit(repository: Repository) -> None:
    git("update-ref", "-d", "refs/heads/main", cwd=repository.origin)


def no_repository(repository: Repository) -> None:
    repository.origin.rename(repository.origin.with_name("gone"))


def trouble(controller: SimulatedController) -> str:
    """What a look says is wrong, of the branch or of the environment."""
    try:
        (outcome,) = controller.look()
    except StagecraftError as error:
        return error.message
    return "" if outcome.failure is None else outcome.failure.message


@pytest.mark.parametrize(
    "vanish",
    [
        no_project_file,
        no_compose_file,
        empty_tree,
        no_service,
        services_behind_profiles,
        empty_compose_file,
        no_branch,
        no_commit,
        no_repository,
    ],
)
def test_nothing_is_removed_and_the_error_is_told(
    running: SimulatedController, vanish: Callable[[Repository], None]
) -> None:
    before = (running.engine.world.ids("web"), running.engine.world.ids("worker"))
    vanish(running.repository)
    assert trouble(running)
    assert (running.engine.world.ids("web"), running.engine.world.ids("worker")) == before
    assert all(before)
    assert running.engine.count("remove") == 0
