"""What people do to containers by hand, on the real engine: healed, reported, or asked for on the record."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from docker.client import DockerClient
from docker.errors import APIError

from tests.e2e.team import Team
from tests.support.daemons import Daemon, running_daemon
from tests.support.processes import wait_until

_HEALED_SECONDS = 30.0
_KILLING_SECONDS = 12.0


def _worker(team: Team) -> str:
    (found,) = team.project.ids()["worker"]
    return found


def _healed(team: Team, times: int) -> dict[str, Any]:
    """Wait for that many heals; the newest drift."""
    wait_until("the heal", lambda: team.types().count("DriftHealed") >= times, seconds=_HEALED_SECONDS)
    assert team.types().count("DriftHealed") == times
    found: dict[str, Any] = [one for one in team.events() if one["type"] == "DriftDetected"][-1]
    return found


def _state(team: Team, service: str) -> str:
    (one,) = [one for one in team.project.containers() if one.labels.get("stagecraft.service") == service]
    found: str = one.status
    return found


def _shown(engine: DockerClient, container: str) -> dict[str, Any]:
    """What an inspection says."""
    found: dict[str, Any] = engine.containers.get(container).attrs
    return found


def _changes_policy(engine: DockerClient, container: str) -> None:
    """A person does `docker update --restart always`."""
    engine.containers.get(container).update(  # pyright: ignore[reportUnknownMemberType]  # the stubs leave its answer open
        restart_policy={"Name": "always"}
    )


def _made_by_hand(engine: DockerClient, container: str) -> None:
    """A person puts a container with the same labels and another environment in a container's place."""
    shown = _shown(engine, container)
    engine.containers.get(container).remove(force=True)
    engine.containers.create(
        str(shown["Config"]["Image"]),
        name=str(shown["Name"]).removeprefix("/"),
        labels=dict[str, str](shown["Config"]["Labels"]),
        environment=["BY_HAND=do-not-show-this"],
        network=str(next(iter(shown["NetworkSettings"]["Networks"]))),
    ).start()


def _is_by_hand(team: Team, engine: DockerClient) -> bool:
    """Whether a container of the worker has what only the person gave it, or none is there."""
    ids = team.project.ids().get("worker", [])
    shown = [str(_shown(engine, one)["Config"]["Env"]) for one in ids]
    return not ids or any("BY_HAND" in lines for lines in shown)


def _drifts(team: Team, engine: DockerClient) -> None:
    """Changes by hand that no label tells of, one after the other; each is healed."""
    first = _worker(team)
    _changes_policy(engine, first)
    drift = _healed(team, 1)
    assert drift["data"]["services"] == {"worker": "restart: always runs, no is wanted"}
    second = _worker(team)
    assert second != first
    engine.networks.get(f"{team.project.name}-prod_default").disconnect(second)
    drift = _healed(team, 2)
    assert drift["data"]["services"]["worker"].startswith("networks: nothing runs")
    team.cli.ok("suspend", "--env", "prod", "--reason", "somebody tries something")
    _made_by_hand(engine, _worker(team))
    team.look()
    assert team.types().count("DriftDetected") == 2, "under a suspend nothing is healed"
    team.cli.ok("resume", "--env", "prod")
    wait_until("ours in its place", lambda: not _is_by_hand(team, engine), seconds=_HEALED_SECONDS)
    told = [event["data"]["services"] for event in team.events() if event["type"] == "DriftDetected"]
    assert any("made by hand" in one.get("worker", "") for one in told), told
    assert not any("do-not-show-this" in str(event) for event in team.events())


def _asked_for(team: Team, engine: DockerClient, daemon: Daemon) -> None:
    """A stop stays through heals of others, a start and a restart keep the container."""
    worker = _worker(team)
    team.cli.ok("stop", "worker", "--env", "prod", "--reason", "the disk is being moved")
    assert _state(team, "worker") == "exited"
    before = daemon.said.count("healed")
    engine.containers.get(team.project.ids()["web"][0]).kill()
    daemon.says("healed", times=before + 1, seconds=_HEALED_SECONDS)
    assert (_state(team, "web"), _state(team, "worker")) == ("running", "exited")
    shown = team.cli.ok("status", "--env", "prod").stdout
    assert "stopped by" in shown
    assert "the disk is being moved" in shown
    assert team.status()["sync"] == "in-sync"
    assert "worker is stopped by a person" in team.cli.ok("why", "worker", "--env", "prod").stdout
    unknown = team.cli.run("stop", "workr", "--env", "prod").expect(1)
    assert "did you mean 'worker'?" in unknown.stderr
    team.cli.ok("start", "worker", "--env", "prod")
    assert (_state(team, "worker"), _worker(team)) == ("running", worker)
    began = str(_shown(engine, worker)["State"]["StartedAt"])
    team.cli.ok("restart", "worker", "--env", "prod", "--reason", "it leaks")
    assert str(_shown(engine, worker)["State"]["StartedAt"]) > began
    types = team.types()
    assert [types.count(f"Service{word}") for word in ("Stopped", "Started", "Restarted")] == [1, 1, 1]


def _killed_every_second(team: Team, engine: DockerClient) -> Counter[str]:
    """A loop kills the web for a while; what was appended meanwhile."""
    before = Counter(team.types())
    end = time.monotonic() + _KILLING_SECONDS
    while time.monotonic() < end:
        for container in team.project.ids().get("web", []):
            try:
                engine.containers.get(container).kill()
            except APIError:  # it is down, or gone
                continue
        time.sleep(1.0)  # the pace of the loop that is played
    return Counter(team.types()) - before


@pytest.mark.usefixtures("images")
def test_a_day_of_people_with_docker_in_their_hands(team: Team, engine: DockerClient) -> None:
    team.merge()
    with running_daemon(team.cli, "--repo", str(team.repository.origin), "--branch", "main") as daemon:
        daemon.says("completed after", seconds=60)
        _drifts(team, engine)
        _asked_for(team, engine, daemon)
        appended = _killed_every_second(team, engine)
        assert appended["ContainerStateChanged"] <= 1
        assert appended["DriftDetected"] <= 6, appended
        assert appended["BreakerOpened"] <= 1
        assert sum(appended.values()) <= 30, appended
        assert daemon.end() == 0
    assert team.types().count("ContainerStateChanged") >= 1
    _asked_now(team, engine)


def _asked_now(team: Team, engine: DockerClient) -> None:
    """`drift` tells what nobody has healed, and changes nothing."""
    if "BreakerOpened" in team.types():
        team.cli.ok("resume", "--env", "prod")
    team.look()
    assert team.cli.ok("drift", "--env", "prod", "--check", "--json").json()["drift"] == []
    worker, head = _worker(team), len(team.events())
    _changes_policy(engine, worker)
    report = team.cli.run("drift", "--env", "prod", "--check", "--json").expect(1).json()
    (row,) = report["drift"]
    assert (row["service"], row["container"], row["field"]) == ("worker", worker, "restart")
    assert (row["wanted"], row["found"], row["owner"]) == ("no", "always", "person")
    assert report["hosts"] == [{"name": "local", "reachable": True, "reason": ""}]
    assert "restart" in team.cli.ok("drift", "--env", "prod").stdout
    assert len(team.events()) == head
    silent = {"DOCKER_HOST": "unix:///run/nobody-listens-here.sock"}
    report = team.cli.run("drift", "--env", "prod", "--json", environment=silent).expect(2).json()
    assert (report["drift"], report["hosts"][0]["reachable"]) == ([], False)
