"""The document that a host gets, shown before it gets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.team import Team
from tests.support.cli import Stagecraft
from tests.support.repos import Repository

PROJECT = "project: {name: shop}\nenvironments: {prod: {}}\n"
COMPOSE = """services:
  web:
    image: registry.invalid/web:1
    command: ["serve", "--price", "5$$"]
    environment: {A: "1"}
    ports: ["8080:80"]
    depends_on: [db]
  db:
    image: registry.invalid/db:1
    volumes: [data:/data]
volumes: {data: {}}
"""


def rendered(cli: Stagecraft, repository: Repository, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = (
        cli.run("config", "render", "--env", "prod", "--json", *arguments, cwd=repository.work)
        .expect(0)
        .json()
    )
    return document


def test_without_pins_it_is_what_compose_itself_renders_but_for_our_labels(
    cli: Stagecraft, repository: Repository
) -> None:
    repository.commit({"stagecraft.yml": PROJECT, "compose.yaml": COMPOSE})
    client = Path(sys.executable).parent / "docker-compose"
    told = subprocess.run(
        [client, "-p", "shop-prod", "-f", "compose.yaml", "config", "--format", "json"],
        cwd=repository.work, capture_output=True, check=True, timeout=30, env={"HOME": "/nonexistent"},
    )  # fmt: skip
    ours = rendered(cli, repository, "--no-pin")
    for service in ours["services"].values():
        assert service.pop("labels").keys() == {
            "stagecraft.project",
            "stagecraft.environment",
            "stagecraft.service",
        }
    assert ours == json.loads(told.stdout)


def test_with_pins_it_is_what_runs(team: Team) -> None:
    team.deploys()
    document: dict[str, Any] = (
        team.cli.run("config", "render", "--env", "prod", "--json", cwd=team.repository.work).expect(0).json()
    )
    (web,) = [one for one in team.project.containers() if one.labels["com.docker.compose.service"] == "web"]
    labels = document["services"]["web"]["labels"]
    assert {name: web.labels[name] for name in labels} == labels
    assert document["services"]["web"]["image"] == web.attrs["Image"]


def test_a_host_that_is_not_there_is_told_with_those_that_are(
    cli: Stagecraft, repository: Repository
) -> None:
    repository.commit({"stagecraft.yml": PROJECT, "compose.yaml": COMPOSE})
    outcome = cli.run(
        "config", "render", "--env", "prod", "--no-pin", "--host", "lcoal", cwd=repository.work
    ).expect(1)
    assert "host-unknown" in outcome.stderr
    assert "local" in outcome.stderr


def test_it_is_yaml_unless_json_is_asked_for(cli: Stagecraft, repository: Repository) -> None:
    repository.commit({"stagecraft.yml": PROJECT, "compose.yaml": COMPOSE})
    outcome = cli.run("config", "render", "--env", "prod", "--no-pin", "--host", "local", cwd=repository.work)
    assert "image: registry.invalid/web:1" in outcome.expect(0).stdout


def test_a_live_status_asks_the_engine_and_a_plan_can_too(team: Team) -> None:
    team.deploys()
    for container in team.project.containers():
        if container.labels["com.docker.compose.service"] == "worker":
            container.stop(timeout=1)
    assert team.status()["sync"] == "in-sync"
    live = team.cli.ok("status", "--env", "prod", "--live", "--json").json()
    assert live["sync"] == "out-of-sync"
    team.merge("second", web=team.worker)
    plan = team.cli.run(
        "plan", "--env", "prod", "--live", "--format", "json", "--exit-code", cwd=team.repository.work
    )
    assert plan.expect(10).json()["unpinned"] == []
