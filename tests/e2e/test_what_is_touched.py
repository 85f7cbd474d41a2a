"""Asking changes nothing, and an idle look does next to nothing: told by the interpreter's own audit hook."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.team import Team
from tests.support.cleanup import unique_project_name
from tests.support.cli import Stagecraft
from tests.support.repos import Repository

ROOT = Path(__file__).resolve().parents[2]


class Audit:
    """What one command did."""

    def __init__(self, told: str) -> None:
        self._told: list[tuple[str, list[str]]] = [
            (kind, words) for kind, words in (json.loads(line) for line in told.splitlines())
        ]

    def programs(self) -> list[list[str]]:
        return [words for kind, words in self._told if kind == "program"]

    def connections(self) -> list[str]:
        return [words[0] for kind, words in self._told if kind == "connect"]

    def written(self) -> list[str]:
        return [words[0] for kind, words in self._told if kind == "write"]


def audited(
    *arguments: str | Path, cwd: Path, record: Path, environment: Mapping[str, str]
) -> tuple[str, Audit]:
    """What the command printed, and what it did."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tests.e2e.audited", record, *arguments],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, Audit(record.read_text())


@pytest.fixture
def committed(repository: Repository) -> Repository:
    """A project that nobody deployed, with an image that nobody has."""
    name = unique_project_name()
    repository.commit(
        {
            "stagecraft.yml": f"project: {{name: {name}}}\nenvironments: {{prod: {{}}}}\n",
            "compose.yaml": "services: {web: {image: 'registry.invalid/web:1'}}\n",
        }
    )
    return repository


def test_a_plan_runs_git_and_compose_config_and_connects_to_nothing(
    committed: Repository, cli: Stagecraft, tmp_path: Path, isolated_home: Path
) -> None:
    environment = {"HOME": str(isolated_home), **cli.environment}
    first, audit = audited(
        "plan",
        "--env",
        "prod",
        "--format",
        "json",
        cwd=committed.work,
        record=tmp_path / "one",
        environment=environment,
    )
    programs = {Path(words[0]).name for words in audit.programs()}
    assert programs == {"git", "unshare"}
    assert all(
        "config" in words for words in audit.programs() if "--wd=/" in words and words[-1] != "--version"
    )
    assert audit.connections() == []
    assert not [
        path for path in audit.written() if path.startswith((str(committed.work), str(tmp_path / "home")))
    ]
    assert not (tmp_path / "home").exists()
    second, _ = audited(
        "plan",
        "--env",
        "prod",
        "--format",
        "json",
        cwd=committed.work,
        record=tmp_path / "two",
        environment=environment,
    )
    assert first == second
    plan = json.loads(first)
    assert plan["unpinned"] == ["registry.invalid/web:1"]
    assert [change["action"] for change in plan["changes"]] == ["create"]


def test_a_comment_against_another_commit_connects_to_nothing_and_writes_nothing_here(
    committed: Repository, cli: Stagecraft, tmp_path: Path, isolated_home: Path
) -> None:
    environment = {"HOME": str(isolated_home), **cli.environment}
    told, audit = audited(
        "plan", "--env", "prod", "--against", "HEAD", "--markdown",
        cwd=committed.work, record=tmp_path / "told", environment=environment,
    )  # fmt: skip
    assert "**Nothing changes**" in told
    assert {Path(words[0]).name for words in audit.programs()} == {"git", "unshare"}
    assert audit.connections() == []
    assert not [path for path in audit.written() if path.startswith(str(committed.work))]
    assert not (tmp_path / "home").exists()


def test_an_idle_look_starts_no_compose(team: Team, tmp_path: Path, isolated_home: Path) -> None:
    team.deploys()
    environment = {"HOME": str(isolated_home), **team.cli.environment}
    _, audit = audited(
        "controller", "run", "--once", "--repo", str(team.repository.origin), "--branch", "main",
        cwd=tmp_path, record=tmp_path / "told", environment=environment,
    )  # fmt: skip
    assert {Path(words[0]).name for words in audit.programs()} <= {"git", "setpriv"}
    assert all("docker-compose" not in " ".join(words) for words in audit.programs())
