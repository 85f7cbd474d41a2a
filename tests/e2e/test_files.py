"""Files of a commit and of a host inside containers: an edit reaches its service and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.team import PROJECT_FILE, Team

COMPOSE = """services:
  bound:
    image: {image}
    volumes: ["./conf:/conf"]
  configured:
    image: {image}
    configs: [{{source: ini, target: /etc/app.ini}}]
  trusted:
    image: {image}
    secrets: [key]
  told:
    image: {image}
    env_file: told.env
  hosted:
    image: {image}
    env_file: {host_env}
  apart:
    image: {image}
configs: {{ini: {{file: ./app.ini}}}}
secrets: {{key: {{file: ./key}}}}
"""
FILES = {"conf/a.txt": "one", "app.ini": "one", "key": "one", "told.env": "TOLD=one\n"}
PASSWORD = "correct-horse-battery"  # noqa: S105  # made up, to be looked for where it must not be


@pytest.fixture
def host_env(tmp_path: Path) -> Path:
    path = tmp_path / "platform.env"
    path.write_text(f"DB_PASSWORD={PASSWORD}\n")
    return path


@pytest.fixture
def running(team: Team, host_env: Path) -> Team:
    """Six services that run, each with another kind of file."""
    compose = COMPOSE.format(image=team.worker, host_env=host_env)
    project = PROJECT_FILE.format(name=team.project.name)
    team.repository.commit({"stagecraft.yml": project, "compose.yaml": compose, **FILES})
    team.look().expect(0)
    return team


def inside(team: Team, service: str, *command: str) -> str:
    """What a command prints in a service's container."""
    (found,) = [
        one for one in team.project.containers() if one.labels["com.docker.compose.service"] == service
    ]
    output = found.exec_run(list(command)).output
    assert isinstance(output, bytes)
    return output.decode().strip()


def replaced(team: Team, before: dict[str, list[str]]) -> set[str]:
    return {name for name, ids in team.project.ids().items() if ids != before[name]}


EDITS = (
    ("conf/a.txt", "two", "bound", ("/bin/cat", "/conf/a.txt")),
    ("app.ini", "two", "configured", ("/bin/cat", "/etc/app.ini")),
    ("key", "two", "trusted", ("/bin/cat", "/run/secrets/key")),
    ("told.env", "TOLD=two\n", "told", ("/bin/sh", "-c", "echo $TOLD")),
)


def test_an_edited_file_replaces_exactly_its_service_and_is_seen_inside(running: Team) -> None:
    for path, content, service, command in EDITS:
        assert inside(running, service, *command) == "one"
        before = running.project.ids()
        running.repository.commit({path: content})
        assert planned(running) == {service}
        running.look().expect(0)
        assert replaced(running, before) == {service}
        assert inside(running, service, *command) == "two"


def planned(team: Team) -> set[str]:
    """The services that `plan` says a deploy would touch."""
    outcome = team.cli.run("plan", "--env", "prod", "--format", "json", cwd=team.repository.work)
    return {one["service"] for one in outcome.expect(0).json()["changes"] if one["action"] != "keep"}


def test_a_value_of_the_host_reaches_its_service_and_nothing_that_is_kept(
    running: Team, host_env: Path
) -> None:
    assert inside(running, "hosted", "/bin/sh", "-c", "echo $DB_PASSWORD") == PASSWORD
    plan = running.cli.run("plan", "--env", "prod", cwd=running.repository.work).expect(0).stdout
    assert f"Variables from {host_env} on local: DB_PASSWORD" in plan
    before = running.project.ids()
    host_env.write_text("DB_PASSWORD=another-horse-battery\n")
    assert planned(running) == {"hosted"}
    running.look().expect(0)
    assert replaced(running, before) == {"hosted"}
    assert inside(running, "hosted", "/bin/sh", "-c", "echo $DB_PASSWORD") == "another-horse-battery"
    home = Path(running.cli.environment["STAGECRAFT_HOME"])
    kept = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    for value in (PASSWORD, "another-horse-battery"):
        assert value.encode() not in kept
    (drift,) = running.events("DriftDetected")
    assert drift["data"]["services"] == {"hosted": "an env file of the host changed"}


def test_a_privileged_merge_is_refused_before_anything_is_touched_and_runs_when_allowed(
    running: Team,
) -> None:
    before = running.project.ids()
    compose = (running.repository.work / "compose.yaml").read_text()
    asking = compose.replace("  apart:\n", "  apart:\n    cap_add: [SYS_TIME]\n    pid: host\n")
    running.repository.commit({"compose.yaml": asking})
    plan = running.cli.run("plan", "--env", "prod", cwd=running.repository.work).expect(0).stdout
    assert "capabilities:SYS_TIME" in plan
    assert "host-pid" in plan
    outcome = running.look().expect(0)
    assert "not-allowed" in outcome.stdout
    assert running.project.ids() == before
    home = Path(running.cli.environment["STAGECRAFT_HOME"])
    policy = f"policy: {{{running.project.name}: {{allow: [host-pid, 'capabilities:SYS_TIME']}}}}\n"
    (home / "controller.yml").write_text(policy)
    running.look().expect(0)
    assert replaced(running, before) == {"apart"}


def test_a_person_deploys_what_policy_does_not_allow_by_naming_it(running: Team) -> None:
    compose = (running.repository.work / "compose.yaml").read_text()
    running.repository.commit(
        {"compose.yaml": compose.replace("  apart:\n", "  apart:\n    environment: {A: '${UNSET}'}\n")}
    )
    work = running.repository.work
    refused = running.cli.run("deploy", "--env", "prod", cwd=work).expect(1)
    assert "not-allowed" in refused.stderr
    assert "--allow unset-variables:UNSET" in refused.stderr
    assert "${UNSET:-}" in refused.stderr
    (event,) = running.events("DeployRefused")
    assert event["data"]["rule"] == "not-allowed"
    running.cli.run("deploy", "--env", "prod", "--allow", "unset-variables", cwd=work, seconds=90).expect(0)
    asked = running.events("DeployRequested")[-1]
    assert asked["data"]["allowed"] == ["unset-variables"]
