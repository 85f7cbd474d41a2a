"""Merges that go wrong: the former version answers, and screen and log say why in the engine's words."""

from __future__ import annotations

import socket

import pytest

from tests.e2e.team import Team
from tests.support.images import TestImages

SCREEN_LINES = 24


@pytest.fixture
def running(team: Team) -> Team:
    """The team with v1 deployed."""
    team.deploys("first")
    return team


def test_an_image_that_is_missing_touches_nothing(running: Team, images: TestImages) -> None:
    before = running.project.ids()
    running.merge("bad", web=images.absent())
    outcome = running.look()
    assert outcome.code == 2, outcome.stderr
    assert images.absent() in outcome.stderr
    assert running.project.ids() == before
    failed = running.events("RenderFailed")
    assert images.absent() in str(failed[-1]["data"])
    assert running.answer() == "web v1"


def test_a_container_that_exits_is_taken_back(running: Team, images: TestImages) -> None:
    before = running.project.ids()
    running.merge("bad", web=images.crashing("v2", line="cannot open the database"))
    outcome = running.look().expect(1)
    assert running.answer() == "web v1"
    assert "cannot open the database" in outcome.stderr
    assert "exit code: 3" in outcome.stderr
    release = running.releases()[0]
    assert release["status"] == "rolled_back"
    event = running.events("ReleaseRolledBack")[-1]["data"]
    assert event["failure"]["exit_code"] == 3
    assert "cannot open the database" in event["failure"]["log_tail"]
    assert running.project.ids()["worker"] == before["worker"]
    logs = ("logs", "--release", release["id"])
    assert " ".join(logs) in outcome.stderr
    assert " ".join(logs) in running.cli.ok("releases", "show", release["id"]).stdout
    assert running.cli.ok(*logs, "--service", "web").stdout == "cannot open the database\n"
    assert "nothing is kept" in running.cli.run(*logs, "--service", "worker").expect(1).stderr
    status = running.status()
    assert status["deployed"]["release"] == running.releases()[1]["id"]
    assert status["hold"] is not None


def test_a_container_that_never_turns_healthy_is_taken_back(running: Team, images: TestImages) -> None:
    running.merge("bad", web=images.sick("v2"))
    outcome = running.look().expect(1)
    assert running.answer() == "web v1"
    assert "the database does not answer" in outcome.stderr
    assert running.releases()[0]["status"] == "rolled_back"


def test_a_service_that_does_not_answer_is_taken_back_with_its_answer_on_one_screen(
    team: Team, images: TestImages
) -> None:
    gate = "services: {{web: {{gate: {{deadline: {}, http: {{port: 8080, path: {}}}}}}}}}\n"
    team.extra = gate.format("1m", "/")
    team.deploys("first")
    team.extra = gate.format("2s", "/alive")
    team.merge("bad", web=images.web("v2"))
    outcome = team.look().expect(1)
    assert team.answer() == "web v1"
    shown = outcome.stderr[outcome.stderr.index("error: ") :].splitlines()
    assert "  why: GET http://localhost:8080/alive answered 404 Not Found" in "\n".join(shown)
    assert any(line.startswith("  next: ") for line in shown)
    assert len(shown) <= SCREEN_LINES
    assert team.releases()[0]["status"] == "rolled_back"


def test_a_failed_merge_is_not_tried_again_and_a_revert_ends_its_hold(
    running: Team, images: TestImages
) -> None:
    running.merge("bad", web=images.crashing("v2"))
    running.look().expect(1)
    before = running.events()
    running.look().expect(0)
    assert running.events() == before
    running.repository.revert()
    running.look().expect(0)
    assert running.types()[-1] == "HoldCleared"
    assert running.status()["hold"] is None
    assert len(running.releases()) == 2


def test_a_port_that_is_taken_is_seen_before_anything_is_touched(running: Team, images: TestImages) -> None:
    before = running.project.ids()
    with socket.create_server(("127.0.0.1", 0)) as other:
        running.port, free = other.getsockname()[1], running.port
        running.merge("bad", web=images.web("v2"))
        outcome = running.look()
    running.port = free
    assert outcome.code == 2, outcome.stderr
    assert "already allocated" in outcome.stderr
    assert running.project.ids() == before
    assert running.answer() == "web v1"
    assert "already allocated" in str(running.events("ReleaseRolledBack")[-1]["data"])


def test_a_job_that_fails_leaves_its_dependent_alone(running: Team, images: TestImages) -> None:
    before = running.project.ids()
    running.merge(
        "bad", web=images.web("v2"), migrate=images.crashing("v2", name="job", line="no such table")
    )
    outcome = running.look().expect(1)
    assert "no such table" in outcome.stderr
    assert running.project.ids() == before
    assert running.answer() == "web v1"


def test_a_file_that_is_no_project_is_refused_once(running: Team) -> None:
    running.repository.commit({"stagecraft.yml": "project: {name: x, nmae: y}\n"}, "typo")
    outcome = running.look().expect(1)
    assert "stagecraft.yml" in outcome.stderr
    before = running.events()
    running.look().expect(1)
    assert running.events() == before
    assert running.answer() == "web v1"
    assert running.status()["sync"] == "unknown"


def test_a_compose_file_that_compose_refuses_touches_nothing(running: Team) -> None:
    text = (running.repository.work / "compose.yaml").read_text()
    running.repository.commit({"compose.yaml": text.replace("ports:", "prots:")}, "typo")
    outcome = running.look().expect(1)
    assert "prots" in outcome.stderr
    assert running.answer() == "web v1"


def test_a_first_release_that_fails_keeps_its_stopped_containers(team: Team, images: TestImages) -> None:
    team.merge("bad", web=images.crashing("v1"))
    team.look().expect(1)
    (release,) = team.releases()
    assert release["status"] == "failed"
    assert team.status()["hold"] is None
    assert team.project.ids() == {}
    kept = [one for one in team.project.containers() if one.labels["com.docker.compose.service"] == "web"]
    assert [one.status for one in kept] == ["exited"]


def test_a_missing_branch_is_named(team: Team) -> None:
    team.merge("first")
    outcome = team.cli.run(
        "controller", "run", "--once", "--repo", team.repository.origin, "--branch", "mian"
    )
    assert outcome.code == 1
    assert "main" in outcome.stderr
