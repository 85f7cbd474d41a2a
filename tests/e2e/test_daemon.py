"""The daemon on the real engine: pushes, killed containers, ends, sources that go and come, two of them."""

from __future__ import annotations

import http.server
import json
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from docker.client import DockerClient

from tests.e2e.team import Team
from tests.support.daemons import Daemon, running_daemon
from tests.support.images import TestImages
from tests.support.processes import wait_until
from tests.support.repos import git


@contextmanager
def _daemon(team: Team, *more: str, name: str = "daemon") -> Generator[Daemon]:
    arguments = ("--repo", str(team.repository.origin), "--branch", "main", *more)
    with running_daemon(team.cli, *arguments, name=name) as daemon:
        yield daemon


def _kill(team: Team, engine: DockerClient, service: str) -> None:
    engine.api.kill(team.project.ids()[service][0])


def _runs(team: Team, service: str) -> bool:
    return any(
        container.status == "running" and container.labels.get("stagecraft.service") == service
        for container in team.project.containers()
    )


def test_a_push_is_deployed_and_a_killed_container_comes_back(
    team: Team, images: TestImages, engine: DockerClient
) -> None:
    team.merge()
    with _daemon(team) as daemon:
        daemon.says("completed after")
        assert team.answer() == "web v1"
        team.merge(web=images.web("v2"))
        daemon.says("completed after", times=2)
        assert team.answer() == "web v2"
        _kill(team, engine, "worker")
        daemon.says("healed")
        assert _runs(team, "worker")
        assert daemon.end() == 0
    types = team.types()
    assert types.count("ReleaseCompleted") == 2
    assert types.count("DriftHealed") == types.count("DriftDetected") == 1


def test_asked_to_end_in_the_middle_it_finishes_what_is_under_way(team: Team) -> None:
    team.merge()
    with _daemon(team) as daemon:
        daemon.says("wait for worker")
        assert daemon.end() == 0
        assert "ending: finishing" in daemon.said
    (release,) = team.releases()
    assert release["status"] == "completed"
    assert team.status()["sync"] == "in-sync"


def test_without_grace_the_next_start_goes_on_with_the_release(team: Team) -> None:
    team.merge()
    with _daemon(team, "--grace", "0") as daemon:
        daemon.says("wait for worker")
        assert daemon.end(signal.SIGINT) == 0
        assert "the next start goes on" in daemon.said
    with _daemon(team, name="second") as daemon:
        daemon.says("finished rel-")
        assert daemon.end() == 0
    (release,) = team.releases()
    assert release["status"] == "completed"
    assert team.types().count("ReleaseStarted") == 1
    assert sorted(team.project.ids()) == ["web", "worker"]


def test_a_second_signal_ends_it_at_once_and_the_next_start_goes_on(team: Team) -> None:
    team.merge()
    with _daemon(team) as daemon:
        daemon.says("wait for worker")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.says("ending: finishing")
        assert daemon.end() == 128 + signal.SIGTERM
    with _daemon(team, name="second") as daemon:
        daemon.says("finished rel-")
        assert daemon.end() == 0
    (release,) = team.releases()
    assert release["status"] == "completed"
    assert team.types().count("ReleaseStarted") == 1
    assert sorted(team.project.ids()) == ["web", "worker"]


@pytest.mark.slow
def test_what_a_killed_command_left_is_finished_within_seconds(team: Team, images: TestImages) -> None:
    team.merge()
    with _daemon(team) as daemon:
        daemon.says("completed after")
        team.merge(web=images.web("v2"))
        daemon.says("completed after", times=2)
        with team.cli.start("rollback", "--env", "prod", "--to-previous") as command:
            wait_until("the rollback to begin", lambda: team.types().count("ReleaseStarted") == 3, seconds=60)
            command.kill()
        # The pass, which would find it too, comes every five minutes.
        try:
            wait_until("the rollback to be finished", lambda: team.answer() == "web v1", seconds=60)
        except TimeoutError as error:
            raise AssertionError(f"the daemon said\n{daemon.said}") from error
        wait_until("its verdict", lambda: team.releases()[0]["status"] == "completed", seconds=60)
        assert daemon.end() == 0
    assert team.types().count("ReleaseStarted") == 3
    assert sorted(team.project.ids()) == ["web", "worker"]


def test_what_waits_for_a_resume_is_deployed_at_once(team: Team, images: TestImages) -> None:
    team.merge()
    with _daemon(team) as daemon:
        daemon.says("completed after")
        team.cli.ok("hold", "--env", "prod", "--reason", "calm")
        team.merge(web=images.web("v2"))
        daemon.says("deferred")
        team.cli.ok("resume", "--env", "prod")
        wait_until("the deploy that waited", lambda: team.answer() == "web v2", seconds=60)
        daemon.says("completed after", times=2)
        assert daemon.end() == 0


def test_a_branch_that_goes_and_comes_back_rewritten_is_followed(team: Team, images: TestImages) -> None:
    team.merge()
    team.merge(web=images.web("v2"))
    settings = team.cli.cwd / "controller.yml"
    settings.write_text(
        "poll: {interval: 300ms, jitter: 50ms, longest: 1s}\n"
        f"repositories: [{{url: {team.repository.origin}, allow_rewrite: true}}]\n"
    )
    with _daemon(team, "--controller", str(settings)) as daemon:
        daemon.says("completed after")
        git("update-ref", "-d", "refs/heads/main", cwd=team.repository.origin)
        wait_until(
            "its absence to be shown", lambda: bool(team.status()["freshness"]["git_error"]), seconds=60
        )
        assert team.answer() == "web v2"
        git("reset", "--quiet", "--hard", "HEAD~1", cwd=team.repository.work)
        git("update-ref", "-d", "refs/remotes/origin/main", cwd=team.repository.work)
        team.merge(web=images.web("v3"))
        daemon.says("the repository answers again")
        daemon.says("completed after", times=2)
        assert team.answer() == "web v3"
        assert team.status()["freshness"]["git_error"] is None
        assert daemon.end() == 0
    assert team.types().count("HistoryRewritten") == 1


def test_a_source_that_goes_is_shown_and_told_and_so_is_its_return(team: Team) -> None:
    team.deploys()
    with _listener() as (address, told):
        settings = team.cli.cwd / "controller.yml"
        settings.write_text(
            "poll: {interval: 300ms, jitter: 50ms, longest: 300ms, stale_after: 500ms}\n"
            f"notify: {{webhook: '{address}'}}\n"
        )
        with _daemon(team, "--controller", str(settings)) as daemon:
            daemon.says("main is at")
            away = team.repository.origin.with_name("away.git")
            team.repository.origin.rename(away)
            wait_until("the notice that it is stale", lambda: "stale" in _events(told))
            status = team.status()
            assert status["freshness"]["git_error"]
            assert status["freshness"]["git_failing_since"]
            away.rename(team.repository.origin)
            wait_until("the notice that it is back", lambda: "recovered" in _events(told))
            assert team.status()["freshness"]["git_error"] is None
            assert daemon.end() == 0
    assert _events(told) == ["stale", "recovered"]
    assert set(told[0]) == {"event", "environment", "release", "status", "message", "time"}


def test_a_second_daemon_of_one_home_is_refused_and_the_first_goes_on(team: Team, images: TestImages) -> None:
    team.merge()
    with _daemon(team) as first:
        second = team.cli.run(
            "controller", "run", "--repo", str(team.repository.origin), "--branch", "main"
        ).expect(2)
        assert "controller-running" in second.stderr
        assert f"process {first.process.pid}" in second.stderr
        team.merge(web=images.web("v2"))
        wait_until("the Release", lambda: team.answer() == "web v2", seconds=60)
        assert first.end() == 0


def test_a_deploy_by_hand_beside_a_daemon_just_takes_the_lock(team: Team) -> None:
    team.merge()
    with _daemon(team) as daemon:
        daemon.says("completed after")
        done = team.cli.run("deploy", "--env", "prod", cwd=team.repository.work, seconds=30)
        done.expect(0)
        assert daemon.end() == 0
    assert len(team.releases()) == 2


def _events(told: list[dict[str, Any]]) -> list[str]:
    return [one["event"] for one in told]


@contextmanager
def _listener() -> Generator[tuple[str, list[dict[str, Any]]]]:
    """A web server of this machine and the objects it was sent."""
    told: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.append(json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", told
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
