"""A project that a person started with Compose, taken over as it runs, on the real engine."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from events.kernel.compose_client import compose_client
from tests.e2e.team import Team
from tests.support.cli import Outcome
from tests.support.images import TestImages

Running = dict[str, tuple[str, str]]


def up_by_hand(team: Team) -> None:
    """What a person did before there was Stagecraft: `docker compose up -d` in a clone."""
    compose(team, "up", "--detach", "--wait-timeout", "60")


def inside(team: Team, *arguments: str, code: int = 0) -> Outcome:
    """The command, in the clone of the repository."""
    return team.cli.run(*arguments, cwd=team.repository.work, seconds=120).expect(code)


def compose(team: Team, *arguments: str) -> None:
    done = subprocess.run(
        [compose_client(), "-p", f"{team.project.name}-prod", *arguments],
        cwd=team.repository.work,
        env={"HOME": str(Path(team.cli.cwd)), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def running(team: Team) -> Running:
    """Id and start of the running container of each service."""
    found: Running = {}
    for one in team.project.containers():
        if one.status == "running":
            state: dict[str, Any] = one.attrs["State"]
            found[one.labels["com.docker.compose.service"]] = (one.id or "", state["StartedAt"])
    return found


def test_what_runs_is_taken_over_without_a_restart_and_lives_on_as_ours(
    team: Team, images: TestImages
) -> None:
    team.merge()
    up_by_hand(team)
    before = running(team)
    assert sorted(before) == ["web", "worker"]
    shown = inside(team, "adopt", "--env", "prod", "--dry-run", "--json").json()
    assert [one for one in shown["services"] if not one["same"]] == []
    assert team.events() == []
    done = inside(team, "adopt", "--env", "prod", "--json").json()
    assert running(team) == before
    (release,) = team.releases()
    assert (release["id"], release["kind"], release["status"]) == (done["release"], "adoption", "completed")
    adopted = {one["data"]["service"]: one["data"]["containers"] for one in team.events("ServiceAdopted")}
    assert [adopted["web"], adopted["worker"]] == [[before["web"][0]], [before["worker"][0]]]
    status = team.status()
    assert (status["sync"], status["health"]) == ("in-sync", "healthy")
    assert "taken over before" in inside(team, "adopt", "--env", "prod").stdout

    team.look().expect(0)
    head = team.events()
    team.look().expect(0)
    assert team.events() == head
    assert running(team) == before

    client = team.project.client
    client.containers.get(before["worker"][0]).stop(timeout=0)
    team.look().expect(0)
    healed = running(team)
    assert healed["worker"][0] == before["worker"][0]
    assert healed["web"] == before["web"]

    team.deploys(web=images.web("v2"))
    after = running(team)
    assert after["worker"] == healed["worker"]
    assert after["web"][0] != before["web"][0]
    assert team.answer() == "web v2"
    exchanges = [one["data"] for one in team.events("ServiceReplaced")]
    assert [before["web"][0]] in [one["old_ids"] for one in exchanges if one["service"] == "web"]
    assert len(team.events("JobCompleted")) == 1, "the job ran before and need not run again"
    assert sorted(one.labels["com.docker.compose.service"] for one in team.project.containers()) == [
        "web",
        "worker",
    ]


def test_what_differs_is_shown_without_values_and_taken_only_when_it_is_accepted(team: Team) -> None:
    team.merge()
    up_by_hand(team)
    before = running(team)
    team.merge(greeting="s3cret-greeting")
    refused = inside(team, "adopt", "--env", "prod", code=1)
    assert "adoption-differs" in refused.stderr
    assert "~GREETING" in refused.stdout
    assert "s3cret-greeting" not in refused.stdout + refused.stderr
    assert team.releases() == []
    inside(team, "adopt", "--env", "prod", "--accept-differences")
    team.look().expect(0)
    team.look().expect(0)
    assert running(team) == before, "a look restarts nothing that was accepted as it is"
    planned = inside(team, "plan", "--env", "prod").stdout
    assert "~ local/web" in planned
    inside(team, "deploy", "--env", "prod")
    after = running(team)
    assert after["web"][0] != before["web"][0]
    assert after["worker"] == before["worker"]
