"""The engine itself goes: restarted, killed or frozen, in the middle of a deploy and while it is idle."""

from __future__ import annotations

import contextlib
import signal
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.team import Team
from tests.support.cleanup import EngineProject, unique_project_name
from tests.support.cli import Stagecraft
from tests.support.daemons import Daemon, running_daemon
from tests.support.images import HealthCheck, TestImages
from tests.support.lab_engine import LabEngine, lab_engine
from tests.support.processes import wait_until
from tests.support.repos import Repository

pytestmark = [pytest.mark.engine, pytest.mark.slow]  # a lab engine needs root, and a restart its time

SOON_SECONDS = 60.0
SILENCE_SECONDS = 120.0  # an engine that hangs is given 30 s for an answer
# Healthy after 4 s, so that a deploy has a middle.
SLOW_START = HealthCheck(
    ("/bin/sh", "-c", "test -e /tmp/old || { sleep 4; : >/tmp/old; }"),
    timeout_seconds=10,
)
SICK_AFTER_A_WHILE = HealthCheck(("/bin/sh", "-c", "echo no database; exit 1"), interval_seconds=1, retries=5)


@dataclass(slots=True)
class Lab:
    """A team whose engine is a lab engine; a client is opened for each question, because the engine goes."""

    engine: LabEngine
    team: Team
    slow: str  # a web that takes a while to turn healthy

    def containers(self) -> dict[str, list[str]]:
        """Ids by service, of running containers alone."""
        with contextlib.closing(self.engine.client()) as client:
            return EngineProject(client, self.team.project.name).ids()

    def made(self) -> Counter[str]:
        """How many containers each service has, in whatever state."""
        with contextlib.closing(self.engine.client()) as client:
            every = EngineProject(client, self.team.project.name).containers()
        return Counter(one.labels["com.docker.compose.service"] for one in every)

    def answer(self) -> str:
        """What the web says, asked where its port is."""
        return self.engine.fetch("127.0.0.1", port=self.team.port)

    @contextlib.contextmanager
    def daemon(self) -> Generator[Daemon]:
        """A daemon that passes often, so that a silent engine is noticed while nothing happens."""
        settings = self.team.cli.cwd / "controller.yml"
        settings.write_text("pass: {interval: 2s}\n")
        arguments = ("--repo", str(self.team.repository.origin), "--controller", str(settings))
        with running_daemon(self.team.cli, *arguments) as daemon:
            yield daemon

    def well(self) -> bool:
        """Whether all is as it should be by its own word."""
        status = self.team.status()
        return (status["sync"], status["health"]) == ("in-sync", "healthy")

    def is_well_soon(self) -> None:
        """Wait until it is."""
        wait_until("the environment to be in sync", self.well, seconds=SOON_SECONDS)
        assert self.made() == {"web": 1, "worker": 1}
        assert {service: len(ids) for service, ids in self.containers().items()} == {"web": 1, "worker": 1}


@pytest.fixture(scope="module")
def own_engine() -> Iterator[LabEngine]:
    """One engine for all tests here; each leaves it running."""
    with lab_engine() as engine:
        yield engine


@pytest.fixture
def lab(own_engine: LabEngine, repository: Repository, tmp_path: Path) -> Iterator[Lab]:
    environment = {"STAGECRAFT_HOME": str(tmp_path / "home"), "DOCKER_HOST": own_engine.url}
    cli = Stagecraft(cwd=tmp_path, environment=environment)
    name = unique_project_name()
    with contextlib.closing(own_engine.client()) as client:
        images = TestImages(client)
        team = Team(
            repository=repository,
            cli=cli,
            project=EngineProject(client, name),
            web=images.web("v1"),
            worker=images.web("v1", name="worker"),
            migrate=images.job("v1"),
        )
        slow = images.web("v2", health=SLOW_START)
    try:
        yield Lab(engine=own_engine, team=team, slow=slow)
    finally:
        own_engine.thaw()
        with contextlib.closing(own_engine.client()) as client:
            EngineProject(client, name).remove_everything()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_engine_that_is_restarted_in_the_middle_of_a_deploy_gets_it_done(
    lab: Lab, number: signal.Signals
) -> None:
    lab.team.merge()
    with lab.daemon() as daemon:
        daemon.says("completed after", seconds=SOON_SECONDS)
        lab.team.merge(web=lab.slow)
        daemon.says("wait for web", times=2, seconds=SOON_SECONDS)
        lab.engine.restart(number)
        daemon.says("completed after", times=2, seconds=SOON_SECONDS)
        lab.is_well_soon()
        assert lab.answer() == "web v2"
        assert daemon.end() == 0
    assert [one["status"] for one in lab.team.releases()] == ["completed", "completed"]
    assert lab.team.types().count("ReleaseStarted") == 2


def test_an_engine_that_is_restarted_in_the_middle_of_a_bad_deploy_has_the_former_version_in_the_end(
    lab: Lab,
) -> None:
    lab.team.merge()
    with lab.daemon() as daemon:
        daemon.says("completed after", seconds=SOON_SECONDS)
        with contextlib.closing(lab.engine.client()) as client:
            bad = TestImages(client).web("v3", health=SICK_AFTER_A_WHILE)
        lab.team.merge(web=bad)
        daemon.says("wait for web", times=2, seconds=SOON_SECONDS)
        lab.engine.restart(signal.SIGKILL)
        daemon.says("rolled back after", seconds=SOON_SECONDS)
        lab.is_well_soon()
        assert lab.answer() == "web v1"
        assert daemon.end() == 0
    (release, _) = lab.team.releases()
    assert release["status"] == "rolled_back"
    failure = lab.team.events("ReleaseRolledBack")[-1]["data"]["failure"]
    assert (failure["code"], failure["health_output"]) == ("container-unhealthy", "no database")
    kept = lab.team.cli.ok("logs", "--release", release["id"]).stdout
    assert set(kept.splitlines()) == {"web v3 serves"}  # once for each of its starts


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_engine_that_is_restarted_while_nothing_happens_runs_the_same_containers_again(
    lab: Lab, number: signal.Signals
) -> None:
    lab.team.merge()
    with lab.daemon() as daemon:
        daemon.says("completed after", seconds=SOON_SECONDS)
        before = lab.containers()
        lab.engine.restart(number)
        wait_until("the containers to run again", lambda: lab.containers() == before, seconds=SOON_SECONDS)
        lab.is_well_soon()
        assert lab.answer() == "web v1"
        assert daemon.end() == 0
    assert len(lab.team.releases()) == 1


def test_containers_that_the_engine_restarts_by_itself_are_left_to_it(lab: Lab) -> None:
    lab.team.merge()
    text = (lab.team.repository.work / "compose.yaml").read_text()
    policy = text.replace("stop_grace_period", "restart: unless-stopped\n    stop_grace_period")
    lab.team.repository.commit({"compose.yaml": policy}, "restart by itself")
    with lab.daemon() as daemon:
        daemon.says("completed after", seconds=SOON_SECONDS)
        before = lab.containers()
        lab.engine.restart(signal.SIGTERM)
        wait_until("the containers to run again", lambda: lab.containers() == before, seconds=SOON_SECONDS)
        lab.is_well_soon()
        assert daemon.end() == 0
    assert len(lab.team.releases()) == 1
    assert "ServiceReplaced" not in lab.team.types()[lab.team.types().index("ReleaseCompleted") :]


def test_a_frozen_engine_is_unknown_and_nothing_is_made_again(lab: Lab) -> None:
    lab.team.merge()
    with lab.daemon() as daemon:
        daemon.says("completed after", seconds=SOON_SECONDS)
        before = lab.containers()
        lab.engine.freeze()
        wait_until(
            "the host to be unknown",
            lambda: (lab.team.status()["sync"], lab.team.status()["health"]) == ("unknown", "unknown"),
            seconds=SILENCE_SECONDS,
        )
        assert lab.team.status()["hosts"][0]["reachable"] is False
        lab.engine.thaw()
        lab.is_well_soon()
        assert lab.containers() == before
        assert daemon.end() == 0
    types = lab.team.types()
    assert (types.count("HostUnreachable"), types.count("HostReached")) == (1, 2)
    assert "DriftDetected" not in types


def test_an_engine_that_freezes_in_the_middle_of_a_deploy_gets_it_done_when_it_goes_on(lab: Lab) -> None:
    lab.team.merge()
    with lab.daemon() as daemon:
        daemon.says("completed after", seconds=SOON_SECONDS)
        lab.team.merge(web=lab.slow)
        daemon.says("wait for web", times=2, seconds=SOON_SECONDS)
        lab.engine.freeze()
        daemon.says("engine-unreachable", seconds=SILENCE_SECONDS)
        (release, _) = lab.team.releases()
        assert release["status"] == "running"
        lab.engine.thaw()
        daemon.says("completed after", times=2, seconds=SILENCE_SECONDS)
        lab.is_well_soon()
        assert lab.answer() == "web v2"
        assert daemon.end() == 0
    assert lab.team.types().count("ReleaseStarted") == 2
