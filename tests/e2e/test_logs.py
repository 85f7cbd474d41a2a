"""`logs` on the real engine: prefixed lines, following through a deploy, failed containers that were kept."""

from __future__ import annotations

import json
import signal
import subprocess
import threading

import pytest

from tests.e2e.team import Team
from tests.support.images import TestImages
from tests.support.processes import wait_until


@pytest.fixture
def running(team: Team) -> Team:
    """The team with v1 deployed."""
    team.deploys("first")
    return team


def test_lines_of_several_services_are_prefixed_and_of_one_are_not(running: Team) -> None:
    shown = running.cli.ok("logs", "--env", "prod").stdout.splitlines()
    assert sorted(shown) == ["local web.1    | web v1 serves", "local worker.1 | worker v1 serves"]
    assert running.cli.ok("logs", "--env", "prod", "--service", "web").stdout == "web v1 serves\n"
    assert running.cli.ok("logs", "--env", "prod", "--service", "web", "--tail", "0").stdout == ""
    assert running.cli.ok("logs", "--env", "prod", "--since", "2020-01-01T00:00:00Z").stdout.count("\n") == 2
    one = running.cli.ok("logs", "--env", "prod", "--grep", "^web .* serves$", "--json").json()
    assert (one["host"], one["service"], one["index"]) == ("local", "web", 1)
    assert (one["text"], len(one["at"])) == ("web v1 serves", len("2026-01-31T12:00:00.123456789Z"))
    assert running.cli.ok("logs", "--env", "prod", "--role", "app", "--until", one["at"]).stdout != ""
    assert running.cli.ok("logs", "--env", "prod", "--until", "2020-01-01T00:00:00Z").stdout == ""
    running.cli.run("logs", "--env", "prod", "--grep", "(").expect(1)
    running.cli.run("logs", "--env", "prod", "--role", "cache").expect(1)
    unknown = running.cli.run("logs", "--env", "prod", "--service", "wbe").expect(1)
    assert "known services: migrate, web, worker" in unknown.stderr
    running.cli.run("logs", "--env", "prod", "--host", "far").expect(1)
    running.cli.run("logs", "--env", "prod", "--since", "soon").expect(1)


def test_following_goes_on_with_the_next_version_and_ends_quietly(running: Team, images: TestImages) -> None:
    with running.cli.start("logs", "--env", "prod", "--service", "web", "-f") as process:
        lines: list[str] = []
        collecting = threading.Thread(target=_collect, args=(process, lines))
        collecting.start()
        try:
            wait_until("the first line", lambda: lines == ["web v1 serves"])
            running.deploys("second", web=images.web("v2"))
            wait_until("a line of the next version", lambda: "web v2 serves" in lines)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""
        finally:
            process.kill()
            collecting.join(10)
    assert lines == ["web v1 serves", "web v2 serves"]


def _collect(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None
    lines.extend(line.rstrip("\n") for line in process.stdout)  # grows as they come


def test_what_a_failed_first_release_wrote_is_shown_with_all(team: Team, images: TestImages) -> None:
    team.merge("bad", web=images.crashing("v1"))
    team.look().expect(1)
    shown = team.cli.ok("logs", "--env", "prod")
    assert "--all" in shown.stderr
    assert shown.stdout == ""
    assert "local web.1    | cannot open the database" in team.cli.ok("logs", "--env", "prod", "--all").stdout


def test_an_engine_that_does_not_answer_is_an_error(running: Team) -> None:
    outcome = running.cli.run("logs", "--env", "prod", environment={"DOCKER_HOST": "unix:///nowhere.sock"})
    assert outcome.expect(2).stderr.startswith("error: engine-unreachable")
    assert json.loads(running.cli.ok("lock", "show", "--json").stdout)[0]["holder"] is None
