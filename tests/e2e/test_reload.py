"""Files that change under a running service which asked for a signal: it is told, and stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from docker.models.containers import Container

from tests.e2e.team import PROJECT_FILE, Team
from tests.support.processes import wait_until
from tests.support.repos import git

COMPOSE = """services:
  told:
    image: {image}
    stop_grace_period: 1s
    command: ["/bin/sh", "/conf/run"]
    environment: {{COLOUR: {colour}}}
    labels: {{stagecraft.reload: {signal}}}
    volumes: ["./conf:/conf", "./app.conf:/etc/app.conf"]
    configs: [{{source: ini, target: /etc/app.ini}}]
    secrets: [key]
  apart:
    image: {image}
    stop_grace_period: 1s
    volumes: ["./conf:/conf"]
configs: {{ini: {{file: ./app.ini}}}}
secrets: {{key: {{file: ./key}}}}
"""
RUN = """trap 'echo "told $(cat /etc/app.conf)"' HUP
trap 'exit 0' TERM
echo up
while :; do sleep 1 & wait; done
"""
FILES = {"conf/run": RUN, "app.conf": "one\n", "app.ini": "one\n", "key": "one\n"}


def merge(team: Team, *, colour: str = "red", signal: str = "hup", **files: str) -> None:
    """Commit the app, with other `files` by their names with `_` for `.` if asked for."""
    changed = {name.replace("__", "/").replace("_", "."): content for name, content in files.items()}
    compose = COMPOSE.format(image=team.worker, colour=colour, signal=signal)
    project = PROJECT_FILE.format(name=team.project.name)
    team.repository.commit({"stagecraft.yml": project, "compose.yaml": compose, **changed})


@pytest.fixture
def running(team: Team) -> Team:
    """A service that is told, and one beside it that mounts one of its files."""
    team.repository.commit(FILES)
    merge(team)
    team.look().expect(0)
    assert told(team) == []
    return team


def container(team: Team, service: str = "told") -> Container:
    (found,) = [
        one for one in team.project.containers() if one.labels["com.docker.compose.service"] == service
    ]
    return found


def lines(team: Team) -> list[str]:
    output: bytes = container(team).logs()
    return output.decode().splitlines()


def told(team: Team) -> list[str]:
    """What the service printed when it was told."""
    return [line for line in lines(team) if line.startswith("told")]


def is_told(team: Team, *expected: str) -> None:
    wait_until("the service to be told", lambda: len(told(team)) >= len(expected), seconds=30)
    assert told(team) == list(expected)


def inside(team: Team, path: str) -> str:
    output = container(team).exec_run(["/bin/cat", path]).output
    assert isinstance(output, bytes)
    return output.decode().strip()


def live_folder(team: Team) -> Path:
    """Where the host has the files of the service."""
    home = Path(team.cli.environment["STAGECRAFT_HOME"])
    return home / "local/apps" / team.project.name / "prod/reload/told"


def planned(team: Team) -> dict[str, str]:
    """What `plan` says a deploy would do, by service."""
    outcome = team.cli.run("plan", "--env", "prod", "--format", "json", cwd=team.repository.work)
    found = outcome.expect(0).json()
    assert [one["service"] for one in found["outages"]] == [
        one["service"] for one in found["changes"] if one.get("strategy") == "stop-first"
    ]
    return {one["service"]: one["action"] for one in found["changes"] if one["action"] != "keep"}


def test_a_changed_file_is_seen_inside_and_told_once_and_nobody_is_replaced(running: Team) -> None:
    before = running.project.ids()
    running.repository.commit({"app.conf": "two, which is longer\n"})
    plan = running.cli.run("plan", "--env", "prod", cwd=running.repository.work).expect(0).stdout
    assert "~ local/told: reload SIGHUP: file ~app.conf" in plan
    assert "Outages" not in plan
    assert planned(running) == {"told": "reload"}
    running.look().expect(0)
    assert running.project.ids() == before
    assert inside(running, "/etc/app.conf") == "two, which is longer"
    is_told(running, "told two, which is longer")
    (event,) = running.events("ServiceReloaded")
    assert event["data"]["containers"] == before["told"]
    assert event["data"]["files"] == ["/etc/app.conf"]
    known = len(running.events())
    running.look().expect(0)
    assert len(running.events()) == known
    assert told(running) == ["told two, which is longer"]


def test_configs_secrets_and_folders_are_told_of_and_who_shares_the_folder_is_replaced(running: Team) -> None:
    before = running.project.ids()
    running.repository.commit({"app.ini": "two\n", "key": "two\n", "conf/more/x": "new\n", "conf/y": "why\n"})
    assert planned(running) == {"told": "reload", "apart": "replace"}
    running.look().expect(0)
    assert running.project.ids()["told"] == before["told"]
    assert running.project.ids()["apart"] != before["apart"]
    found = [
        inside(running, path) for path in ("/etc/app.ini", "/run/secrets/key", "/conf/more/x", "/conf/y")
    ]
    assert found == ["two", "two", "new", "why"]
    git("rm", "--quiet", "conf/y", cwd=running.repository.work)
    running.repository.commit({"conf/more/x": "newer\n"})
    running.look().expect(0)
    assert running.project.ids()["told"] == before["told"]
    assert inside(running, "/conf/more/x") == "newer"
    assert "No such file" in inside(running, "/conf/y")
    is_told(running, "told one", "told one")


def test_a_changed_file_and_a_changed_variable_replace_it(running: Team) -> None:
    before = running.project.ids()
    merge(running, colour="blue", app_conf="two\n")
    assert planned(running) == {"told": "replace"}
    running.look().expect(0)
    assert running.project.ids()["told"] != before["told"]
    assert inside(running, "/etc/app.conf") == "two"
    assert told(running) == []
    assert running.events("ServiceReloaded") == []


def test_a_revert_and_a_rollback_tell_it_of_the_old_content(running: Team) -> None:
    before = running.project.ids()
    running.repository.commit({"app.conf": "two\n"})
    running.look().expect(0)
    git("revert", "--no-edit", "HEAD", cwd=running.repository.work)
    git("push", "--quiet", "origin", "main", cwd=running.repository.work)
    running.look().expect(0)
    assert running.types().count("RevertDetected") == 1
    assert inside(running, "/etc/app.conf") == "one"
    is_told(running, "told two", "told one")
    work = running.repository.work
    running.cli.run(
        "rollback", "--env", "prod", "--to-previous", "--reason", "why not", cwd=work, seconds=90
    ).expect(0)
    is_told(running, "told two", "told one", "told two")
    assert running.project.ids() == before


def test_content_that_a_person_changed_is_put_back_and_told_of(running: Team) -> None:
    before = running.project.ids()
    (file,) = live_folder(running).glob("*/app.conf")
    edited = file.with_name("edited")
    edited.write_text("by hand\n")
    edited.replace(file)  # as an editor does
    running.look().expect(0)
    assert file.read_text() == "one\n"
    assert running.project.ids() == before
    is_told(running, "told one")
    running.repository.commit({"app.conf": "two\n"})
    running.look().expect(0)
    assert inside(running, "/etc/app.conf") == "two"
    is_told(running, "told one", "told two")


def test_a_service_that_dies_of_its_signal_is_brought_back_with_its_files(running: Team) -> None:
    dying = RUN.replace('echo "told $(cat /etc/app.conf)"', "sleep 0.1; exit 7")
    merge(running, colour="green", conf__run=dying)
    running.look().expect(0)
    before = running.project.ids()
    running.repository.commit({"app.conf": "deadly\n"})
    running.look()
    assert running.releases()[0]["status"] == "rolled_back"
    (event,) = running.events("ReleaseRolledBack")
    assert event["data"]["failure"]["exit_code"] == 7
    assert event["data"]["touched"] == ["local/told"]
    assert running.project.ids() == before
    assert inside(running, "/etc/app.conf") == "one"


@pytest.mark.parametrize(
    ("signal", "words"), [("SIGHOP", "did you mean 'SIGHUP'?"), ("KILL", "never reaches a process")]
)
def test_a_signal_that_is_none_is_refused(running: Team, signal: str, words: str) -> None:
    before = running.project.ids()
    merge(running, signal=signal, app_conf="two\n")
    refused = running.cli.run("plan", "--env", "prod", cwd=running.repository.work).expect(1)
    assert "reload-signal-invalid" in refused.stderr
    assert words in refused.stderr
    running.look()
    assert running.project.ids() == before
    assert inside(running, "/etc/app.conf") == "one"
