"""What a plan, a deploy and a look import: clients of what they ask, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.imported import CLIENTS, Imported, imported
from tests.support.repos import Repository

PROJECT = "project: {name: shop}\nenvironments:\n  prod: {}\n"
COMPOSE = "services:\n  web: {image: 'web:1'}\n"


@pytest.fixture
def work(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with a project, a home, and an engine that does not answer."""
    repository.commit({"stagecraft.yml": PROJECT, "compose.yaml": COMPOSE})
    monkeypatch.setenv("STAGECRAFT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    return repository.work


def clients(found: Imported) -> set[str]:
    return set(found.packages & CLIENTS)


@pytest.mark.parametrize("argv", [("plan",), ("deploy", "--dry-run")], ids=" ".join)
def test_a_plan_asks_git_alone(work: Path, argv: tuple[str, ...]) -> None:
    found = imported(*argv, "--env", "prod", cwd=work)
    assert (found.code, clients(found)) == (0, {"git"})


def test_a_deploy_that_finds_no_engine_asks_no_registry(work: Path) -> None:
    found = imported("deploy", "--env", "prod", cwd=work)
    assert (found.code, clients(found)) == (2, {"git", "docker", "requests", "urllib3"})
    assert "controller.preview" not in found.modules


def test_a_look_at_a_branch_needs_no_schedule_and_no_server(work: Path, repository: Repository) -> None:
    found = imported("controller", "run", "--once", "--repo", str(repository.origin), cwd=work)
    assert (found.code, clients(found)) == (2, {"git", "docker", "requests", "urllib3"})
    assert "controller.preview" not in found.modules


def test_what_is_watched_is_listed_without_opening_a_repository(work: Path) -> None:
    assert clients(imported("repositories", "list", cwd=work)) == set()
