"""A password that the Compose file refers to and only the host has: in its containers, and nowhere else."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from events.kernel.compose_client import compose_client
from tests.e2e.team import PROJECT_FILE, Team

COMPOSE = """services:
  shop:
    image: {image}
    environment:
      URL: "postgres://shop:${{DB_PASSWORD}}@${{DB_NAME:-db}}/x?cost=$$5"
      TOLD: {told}
  db:
    image: {image}
    environment: [DB_PASSWORD]
    healthcheck: {{test: ["CMD", "/bin/sh", "-c", "test -n ${{DB_PASSWORD:?the password}}"], interval: 1s}}
  mail:
    image: {image}
    environment: {{MAIL_KEY: "${{MAIL_KEY}}"}}
  apart:
    image: {image}
"""
PASSWORD, OTHER, MAIL = "correct-horse-battery", "another-horse-battery", "yet$another-{horse}"


@pytest.fixture
def host_env(tmp_path: Path) -> Path:
    path = tmp_path / "host" / "platform.env"
    path.parent.mkdir()
    write(path)
    return path


@pytest.fixture
def running(team: Team, host_env: Path) -> Team:
    merge(team, host_env)
    team.look().expect(0)
    return team


def write(path: Path, password: str = PASSWORD) -> None:
    path.write_text(f"# of this host\nDB_PASSWORD={password}\nMAIL_KEY='{MAIL}'\nUNUSED=1\n")


def merge(team: Team, host_env: Path, told: str = "one") -> None:
    project = PROJECT_FILE.format(name=team.project.name) + f"    env_file: {host_env}\n"
    compose = COMPOSE.format(image=team.worker, told=told)
    team.repository.commit({"stagecraft.yml": project, "compose.yaml": compose})


def environment(team: Team, service: str) -> dict[str, str]:
    """What the first process of a service was started with."""
    (found,) = [
        one for one in team.project.containers() if one.labels["com.docker.compose.service"] == service
    ]
    output = found.exec_run(["/bin/cat", "/proc/1/environ"]).output
    assert isinstance(output, bytes)
    return dict(one.split("=", 1) for one in output.decode().split("\0") if one)


def replaced(team: Team, before: dict[str, list[str]]) -> set[str]:
    return {name for name, ids in team.project.ids().items() if ids != before.get(name)}


def home(team: Team) -> Path:
    return Path(team.cli.environment["STAGECRAFT_HOME"])


def planned(team: Team) -> dict[str, str]:
    """What `plan` says a deploy would touch, and why."""
    plan = team.cli.run("plan", "--env", "prod", "--format", "json", cwd=team.repository.work).expect(0)
    return {one["service"]: one["reason"] for one in plan.json()["changes"] if one["action"] != "keep"}


def test_the_password_is_in_its_containers_and_in_nothing_that_is_kept(running: Team, host_env: Path) -> None:
    url = f"postgres://shop:{PASSWORD}@db/x?cost=$5"
    assert environment(running, "shop")["URL"] == url
    assert environment(running, "db")["DB_PASSWORD"] == PASSWORD
    assert environment(running, "mail")["MAIL_KEY"] == MAIL
    plan = running.cli.run("plan", "--env", "prod", cwd=running.repository.work).expect(0).stdout
    assert f"Variables from {host_env} on local for shop: DB_NAME, DB_PASSWORD" in plan
    assert "nothing changes" in plan
    shown = running.cli.run("config", "render", "--env", "prod", cwd=running.repository.work).expect(0).stdout
    assert "postgres://shop:${DB_PASSWORD}@${DB_NAME:-db}/x?cost=$$5" in shown
    status = running.cli.ok("status", "--env", "prod", "--json").stdout
    kept = b"".join(path.read_bytes() for path in home(running).rglob("*") if path.is_file())
    told = [kept.decode(errors="replace"), plan, shown, status, json.dumps(running.events())]
    for value in (PASSWORD, MAIL):
        assert not [text for text in told if value in text]
    (bound,) = running.events("HostVariablesBound")
    assert set(bound["data"]["variables"]) == {"shop", "db", "mail"}
    assert set(bound["data"]["variables"]["shop"]) == {"DB_PASSWORD"}


def test_a_changed_value_replaces_who_refers_to_it_and_nobody_else(running: Team, host_env: Path) -> None:
    before = running.project.ids()
    host_env.write_text(host_env.read_text().replace("UNUSED=1", "UNUSED=2  # and a word"))
    assert planned(running) == {}
    assert "in sync" in running.look().expect(0).stdout or running.project.ids() == before
    write(host_env, OTHER)
    words = f"DB_PASSWORD in {host_env} of the host changed"
    assert planned(running) == {"shop": words, "db": words}
    running.look().expect(0)
    assert replaced(running, before) == {"shop", "db"}
    assert environment(running, "db")["DB_PASSWORD"] == OTHER
    (drift,) = running.events("DriftDetected")
    assert set(drift["data"]["services"]) == {"shop", "db"}
    after, events = running.project.ids(), len(running.events())
    running.look().expect(0)
    assert (running.project.ids(), len(running.events())) == (after, events)


def test_a_name_that_the_file_lacks_is_refused_before_anything_is_touched(
    running: Team, host_env: Path
) -> None:
    before = running.project.ids()
    host_env.write_text("MAIL_KEY=x12345\n")
    merge(running, host_env, told="two")
    plan = running.cli.run("plan", "--env", "prod", cwd=running.repository.work).expect(0).stdout
    assert "missing there: DB_PASSWORD; shop is not started without" in plan
    running.look()
    assert running.project.ids() == before
    ended = [one for one in running.events() if one["type"] in {"ReleaseFailed", "ReleaseRolledBack"}]
    failure = ended[-1]["data"]["failure"]
    assert (failure["code"], failure["service"], failure["host"]) == (
        "host-variable-missing",
        "shop",
        "local",
    )
    assert f"{host_env} of the host does not have DB_PASSWORD" in failure["message"]
    assert "DB_PASSWORD=..." in failure["next"]


def test_a_file_that_is_gone_stops_nothing(running: Team, host_env: Path) -> None:
    before = running.project.ids()
    host_env.unlink()
    running.look().expect(0)
    assert running.project.ids() == before


def test_a_rollback_takes_the_value_of_today(running: Team, host_env: Path) -> None:
    merge(running, host_env, told="two")
    running.look().expect(0)
    write(host_env, OTHER)
    running.cli.ok("rollback", "--env", "prod", "--to-previous", seconds=90)
    running.look().expect(0)
    found = environment(running, "shop")
    assert (found["TOLD"], OTHER in found["URL"]) == ("one", True)


def test_compose_by_hand_sees_the_same_services(running: Team, host_env: Path) -> None:
    before = running.project.ids()
    (document,) = home(running).rglob("compose.yml")
    assert f"docker compose --env-file {host_env} -f compose.yml" in document.read_text()
    up = [str(compose_client()), "--env-file", str(host_env), "-f", str(document), "up", "-d"]
    done = subprocess.run(up, capture_output=True, text=True, check=False)  # the pinned client
    assert done.returncode == 0, done.stderr
    assert running.project.ids() == before
    assert not re.search("Recreat", done.stderr)
    forgotten = subprocess.run(  # the pinned client
        [*up[:1], *up[3:]], capture_output=True, text=True, check=False
    )
    assert forgotten.returncode != 0
    assert "name the file with --env-file" in forgotten.stderr
    assert running.project.ids() == before


def test_what_a_person_started_with_the_file_is_taken_over_as_it_runs(team: Team, host_env: Path) -> None:
    merge(team, host_env)
    up = [str(compose_client()), "-p", f"{team.project.name}-prod", "--env-file", str(host_env), "up", "-d"]
    done = subprocess.run(up, cwd=team.repository.work, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before = team.project.ids()
    work = team.repository.work
    shown = team.cli.run("adopt", "--env", "prod", "--dry-run", "--json", cwd=work, seconds=120).expect(0)
    assert [one for one in shown.json()["services"] if not one["same"]] == []
    assert PASSWORD not in shown.stdout
    write(host_env, OTHER)
    shown = team.cli.run("adopt", "--env", "prod", "--dry-run", "--json", cwd=work, seconds=120)
    assert {one["service"] for one in shown.json()["services"] if not one["same"]} == {"shop", "db"}
    assert not [value for value in (PASSWORD, OTHER) if value in shown.stdout + shown.stderr]
    assert team.project.ids() == before
