"""`plan` through the installed command: another commit to compare with, filters, a comment."""

from __future__ import annotations

from pathlib import Path

import pytest
from docker.client import DockerClient

from tests.support.cli import Stagecraft
from tests.support.repos import Repository
from tests.support.webserver import Asked, Reply, web_server

PROJECT = """\
project: {name: shop, registry: registry.invalid/shop}
hosts: {data: [local], app: [local], edge: [local]}
services:
  db: {role: data}
  migrate: {role: app}
  web: {role: app}
  proxy: {role: edge}
environments: {prod: {}}
"""
COMPOSE = """\
services:
  db: {image: "postgres:17"}
  migrate: {image: "registry.invalid/shop/api:1", depends_on: {db: {condition: service_started}}}
  web:
    image: "registry.invalid/shop/web:1"
    environment: {TOKEN: sesame, COLOUR: red}
    ports: ["8080:80"]
    volumes: ["./conf/web.conf:/etc/web.conf"]
    depends_on: {migrate: {condition: service_completed_successfully}}
  proxy: {image: "proxy:1", depends_on: [web], network_mode: "service:web"}
"""
LENGTH = "until its gate passes, at most 120 s"
ROLES = ("APP", "DATA", "EDGE")
WEB = "registry.invalid/shop/web"
EDITED = (
    COMPOSE.replace("web:1", "web:2")
    .replace("sesame", "other")
    .replace("  db: {image", "  cache: {image")
    .replace("depends_on: {db: {condition: service_started}}", "depends_on: [cache]")
)


@pytest.fixture
def shop(repository: Repository) -> Repository:
    """Two commits."""
    repository.commit({"stagecraft.yml": PROJECT, "compose.yaml": COMPOSE, "conf/web.conf": "one"})
    repository.commit(
        {
            "stagecraft.yml": PROJECT.replace("  db: {role", "  cache: {role"),
            "compose.yaml": EDITED,
            "conf/web.conf": "two",
        }
    )
    return repository


def planned(cli: Stagecraft, shop: Repository, *more: str, code: int = 0) -> str:
    return cli.run("plan", "--env", "prod", *more, cwd=shop.work).expect(code).stdout


def test_a_plan_against_another_commit_names_each_change_with_its_reason(
    shop: Repository, cli: Stagecraft
) -> None:
    told = planned(cli, shop, "--against", "HEAD~1")
    changes = told[told.index("Changes:") : told.index("Images resolved")].splitlines()
    assert changes == [
        "Changes:",
        "  + local/cache: new",
        "  - local/db: not in the project any more",
        "  ~ local/proxy: shares with web",
        f"  ~ local/web: image {WEB}:1 -> {WEB}:2; environment ~TOKEN; file ~conf/web.conf",
        "  = 1 unchanged",
        "Outages, because the old container ends before the new one begins:",
        f"  local/proxy: lives in the container of web; {LENGTH}",
        f"  local/web: fixed host port 8080/tcp, proxy lives in its container; {LENGTH}",
    ]
    assert "sesame" not in told
    assert told == planned(cli, shop, "--against", "HEAD~1")
    assert planned(cli, shop, "--against", "HEAD", "--exit-code").count("nothing changes") == 1
    planned(cli, shop, "--against", "HEAD~1", "--exit-code", code=10)


def test_the_steps_say_what_is_awaited_what_runs_once_and_what_waits_for_what(
    shop: Repository, cli: Stagecraft
) -> None:
    outcome = cli.run("plan", "--env", "prod", "--format", "json", "--against", "HEAD~1", cwd=shop.work)
    plan = outcome.expect(0).json()
    assert [(step["id"], step["kind"], step["services"], step["depends_on"]) for step in plan["phases"]] == [
        ("BUILD_APP", "build", ["migrate", "web"], []),
        ("DEPLOY_DATA", "deploy", ["cache"], []),
        ("MIGRATE_APP", "migrate", ["migrate"], ["BUILD_APP", "DEPLOY_DATA"]),
        ("DEPLOY_APP", "deploy", ["web"], ["BUILD_APP", "DEPLOY_DATA", "MIGRATE_APP"]),
        ("DEPLOY_EDGE", "deploy", ["proxy"], ["DEPLOY_APP"]),
        ("HEALTH_CHECK", "health_check", ["cache", "proxy", "web"], [f"DEPLOY_{one}" for one in ROLES]),
    ]
    assert len(plan["against"]) == 40
    assert (plan["version"], len(plan["revision"])) == ("unknown", 40)
    assert "Version: v9\n" in planned(cli, shop, "--version", "v9")
    assert [one["service"] for one in plan["removals"]] == ["db"]
    assert {one["service"]: one["causes"] for one in plan["outages"]}["web"] == [
        "fixed host port 8080/tcp",
        "proxy lives in its container",
    ]
    strategies = {one["service"]: one["strategy"] for one in plan["changes"] if one["action"] == "replace"}
    assert strategies == {"proxy": "stop-first", "web": "stop-first"}


def test_filters_show_a_part_and_an_unknown_name_is_refused(shop: Repository, cli: Stagecraft) -> None:
    told = planned(cli, shop, "--services", "web")
    steps = [line.strip() for line in told.splitlines() if line.strip()[:1].isdigit()]
    assert steps == ["1. BUILD_APP", "2. MIGRATE_APP", "3. DEPLOY_APP", "4. HEALTH_CHECK"]
    assert "proxy" not in told
    assert "Only roles: edge" in planned(cli, shop, "--roles", "edge")
    for flag, name, known in (
        ("--services", "wbe", "did you mean 'web'?"),
        ("--roles", "egde", "did you mean 'edge'?"),
        ("--hosts", "locl", "did you mean 'local'?"),
        ("--phases", "DEPLY", "known phases: BUILD_APP"),
    ):
        outcome = cli.run("plan", "--env", "prod", flag, name, cwd=shop.work).expect(1)
        assert known in outcome.stderr


def test_a_comment_says_what_changes_and_leaves_nothing_behind(shop: Repository, cli: Stagecraft) -> None:
    told = planned(cli, shop, "--markdown", "--against", "HEAD~1")
    assert told.startswith(
        "### Plan for shop/prod\n\n**1 to create, 2 to replace, 1 to remove, 1 unchanged**."
    )
    assert "| `~` | local | proxy | shares with web |" in told
    assert told == planned(cli, shop, "--format", "markdown", "--against", "HEAD~1")
    cli.run("plan", "--env", "prod", "--markdown", "--format", "json", cwd=shop.work).expect(1)
    assert not Path(cli.environment["STAGECRAFT_HOME"]).exists()


def test_a_work_tree_is_planned_against_a_commit(shop: Repository, cli: Stagecraft) -> None:
    shop.write({"conf/web.conf": "three"})
    told = planned(cli, shop, "--worktree", "--against", "HEAD")
    assert "~ local/web: file ~conf/web.conf" in told


def test_images_are_looked_up_by_the_named_settings(
    repository: Repository, cli: Stagecraft, engine: DockerClient, tmp_path: Path
) -> None:
    def unknown(_asked: Asked) -> Reply:
        return Reply(status=404, body=b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')

    assert engine.ping()  # pyright: ignore[reportUnknownMemberType]  # its stub is untyped
    with web_server(unknown) as server:
        registry = server.address.removeprefix("http://").rstrip("/")
        repository.commit(
            {
                "stagecraft.yml": "project: {name: shop}\nenvironments: {prod: {}}\n",
                "compose.yaml": f"services: {{web: {{image: '{registry}/none:1'}}}}\n",
            }
        )
        settings = tmp_path / "operator.yml"
        settings.write_text(f"registries: {{'{registry}': {{plain_http: false}}}}\n")
        live = ("plan", "--env", "prod", "--live")
        cli.run(*live, cwd=repository.work).expect(2)
        assert not all(_is_engine(asked) for asked in server.asked)
        server.asked.clear()
        cli.run(*live, "--controller", str(settings), cwd=repository.work).expect(2)
        assert all(_is_engine(asked) for asked in server.asked)  # it has its own settings


def _is_engine(asked: Asked) -> bool:
    return asked.headers.get("User-Agent", "").startswith("docker/")
