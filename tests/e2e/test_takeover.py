"""Real processes that hang, die, are interrupted or meet another one: one writer, one verdict, no remains."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.holders import holder_of
from controller.locks import lock_file
from tests.e2e.team import Team
from tests.support.cli import COMMAND, Stagecraft
from tests.support.images import HealthCheck, TestImages
from tests.support.processes import wait_until

PATIENT = HealthCheck(("/bin/test", "-f", "/ok"), retries=10_000)
"""Not healthy before a test lets it be."""
VERDICTS = {"ReleaseCompleted", "ReleaseFailed", "ReleaseRolledBack"}
LONG = 60.0


@dataclass(frozen=True, slots=True)
class Command:
    """A command that runs; `said` is what it wrote so far."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def says(self, text: str) -> None:
        wait_until(repr(text), lambda: text in self.said or self.process.poll() is not None, seconds=LONG)
        assert text in self.said, self.said

    def ends(self) -> int:
        return self.process.wait(LONG)


@contextmanager
def deploying(team: Team, name: str = "first") -> Generator[Command]:
    """`stagecraft deploy` of what was merged last; it is gone afterwards."""
    output = team.cli.cwd / f"{name}.log"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [COMMAND, "deploy", "--env", "prod"],
            cwd=team.repository.work,
            env={**os.environ, "NO_COLOR": "1", **team.cli.environment},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    try:
        yield Command(process, output)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(LONG)


@pytest.fixture
def patient(team: Team, images: TestImages) -> Team:
    """v1 is deployed; the web of what is merged now waits for its health."""
    team.deploys()
    team.merge(web=images.web("v2", health=PATIENT))
    return team


def turn_healthy(team: Team) -> None:
    """Let the new web be healthy; it must be there."""
    (web,) = [one for one in team.project.containers() if one.labels.get("stagecraft.service") == "web"]
    code = web.exec_run(["/bin/sh", "-c", ": > /ok"]).exit_code
    assert code == 0


def children(pid: int) -> dict[int, list[str]]:
    """The command lines of all processes that this one started, directly or not."""
    parents = {int(path.name): parent(int(path.name)) for path in Path("/proc").glob("[0-9]*")}
    family = {pid}
    while more := {child for child, its in parents.items() if its in family} - family:
        family |= more
    return {one: command_line(one) for one in family - {pid}}


def fields(pid: int) -> list[str]:
    """What `/proc/<pid>/stat` says after the name, nothing when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def parent(pid: int) -> int | None:
    found = fields(pid)
    return int(found[1]) if found else None


def command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def compose_of(command: Command) -> int:
    """The id of the Compose client that brings services up, as soon as there is one.

    While it is still `setpriv` it is not that yet: stopped there, it has not asked to end with its parent.
    """
    found: list[int] = []

    def there() -> bool:
        found.extend(
            pid
            for pid, words in children(command.process.pid).items()
            if "--detach" in words and "--dry-run" not in words and not words[0].endswith("setpriv")
        )
        return bool(found)

    wait_until("Compose to bring services up", there, seconds=LONG)
    return found[0]


def gone(pid: int) -> bool:
    return fields(pid)[:1] in ([], ["Z"], ["X"])


def lock_of(team: Team) -> Path:
    return lock_file(Path(team.cli.environment["STAGECRAFT_HOME"]) / "run", f"{team.project.name}/prod")


def verdicts(team: Team) -> Counter[str]:
    """How many verdicts each Release has."""
    return Counter(e["data"]["release"] for e in team.events() if e["type"] in VERDICTS)


def check_whole(team: Team, *, releases: int) -> None:
    """Each service once, one verdict for each Release, nobody holds the lock, nothing is left to do."""
    assert {service: len(ids) for service, ids in team.project.ids().items()} == {"web": 1, "worker": 1}
    assert list(verdicts(team).values()) == [1] * releases
    assert holder_of(lock_of(team)) is None
    positions = [event["position"] for event in team.events()]
    assert positions == list(range(1, len(positions) + 1))


def test_a_stopped_holder_that_was_taken_over_does_nothing_more_when_it_goes_on(patient: Team) -> None:
    """Its lock's file is removed, as people do; the log and the fence know better."""
    team = patient
    with deploying(team) as first:
        first.says("wait for web")
        first.process.send_signal(signal.SIGSTOP)
        lock_of(team).unlink()
        with deploying(team, "second") as second:
            second.says("wait for web")
            turn_healthy(team)
            assert second.ends() == 0, second.said
        before, containers = team.events(), team.project.ids()
        first.process.send_signal(signal.SIGCONT)
        assert first.ends() == 2, first.said
        assert "lock-lost" in first.said
    assert (team.events(), team.project.ids()) == (before, containers)
    check_whole(team, releases=3)


def test_a_stopped_holder_whose_lock_is_broken_is_ended_on_the_record(patient: Team) -> None:
    team = patient
    with deploying(team) as first:
        first.says("wait for web")
        first.process.send_signal(signal.SIGSTOP)
        shown = team.cli.ok("lock", "show", "--env", "prod", "--json").json()[0]["holder"]
        assert (shown["pid"], shown["state"], shown["token"]) == (first.process.pid, "stopped", 2)
        team.cli.ok("lock", "break", "--env", "prod", "--reason", "it hangs")
        assert first.ends() == -signal.SIGKILL
    (broken,) = team.events("LockBroken")
    assert (broken["actor"]["kind"], broken["data"]["reason"]) == ("cli", "it hangs")
    with deploying(team, "second") as second:
        second.says("wait for web")
        turn_healthy(team)
        assert second.ends() == 0, second.said
    check_whole(team, releases=3)


def test_a_killed_holder_takes_its_compose_along_and_is_taken_over_at_once(patient: Team) -> None:
    team = patient
    with deploying(team) as first:
        compose = compose_of(first)
        first.process.kill()
        assert first.ends() == -signal.SIGKILL
        wait_until("the end of its Compose", lambda: gone(compose))
    with deploying(team, "second") as second:
        second.says("wait for web")
        assert "waiting for another process" not in second.said
        turn_healthy(team)
        assert second.ends() == 0, second.said
    check_whole(team, releases=3)


def test_a_second_deploy_asks_at_once_and_follows(patient: Team) -> None:
    team = patient
    with deploying(team) as first:
        first.says("wait for web")
        with deploying(team, "second") as second:
            wait_until("the request", lambda: team.types().count("DeployRequested") == 3, seconds=LONG)
            second.says(f"held by process {first.process.pid}")
            assert len(verdicts(team)) == 1
            turn_healthy(team)
            assert first.ends() == 0, first.said
            assert second.ends() == 0, second.said
    check_whole(team, releases=3)
    newest = team.releases()[0]["id"]
    assert f"{newest} completed" in second.said


def test_ctrl_c_says_what_goes_on_and_the_next_deploy_goes_on_with_it(patient: Team) -> None:
    team = patient
    with deploying(team) as first:
        first.says("wait for web")
        first.process.send_signal(signal.SIGINT)
        assert first.ends() == 130, first.said
    (release,) = [one["id"] for one in team.releases() if one["status"] == "running"]
    assert f"{release} has no verdict yet, it is running; " in first.said
    assert f"stagecraft releases show {release}" in first.said
    with deploying(team, "second") as second:
        second.says("wait for web")
        turn_healthy(team)
        assert second.ends() == 0, second.said
    check_whole(team, releases=3)


def test_ctrl_c_in_a_deploy_that_follows_leaves_the_other_one_alone(patient: Team) -> None:
    team = patient
    with deploying(team) as first:
        first.says("wait for web")
        with deploying(team, "second") as second:
            wait_until("the request", lambda: team.types().count("DeployRequested") == 3, seconds=LONG)
            second.says("held by process")
            second.process.send_signal(signal.SIGTERM)
            assert second.ends() == 143, second.said
            assert f"process {first.process.pid} works on the environment and goes on" in second.said
        turn_healthy(team)
        assert first.ends() == 0, first.said
    team.look().expect(0)
    check_whole(team, releases=3)


def test_a_second_ctrl_c_ends_at_once(patient: Team) -> None:
    team = patient
    with deploying(team) as first:
        compose = compose_of(first)
        os.kill(compose, signal.SIGSTOP)  # it does not hear that it should end
        first.process.send_signal(signal.SIGINT)
        first.says("a second Ctrl-C ends it at once")
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(4) == 130  # the gentle end would wait for 5 s
        wait_until("the end of its Compose", lambda: gone(compose))
    with deploying(team, "second") as second:
        second.says("wait for web")
        turn_healthy(team)
        assert second.ends() == 0, second.said
    check_whole(team, releases=3)


def test_a_controller_with_another_log_touches_nothing_and_names_the_owner(
    team: Team, images: TestImages
) -> None:
    team.deploys()
    before = team.project.ids()
    other = Stagecraft(cwd=team.cli.cwd, environment={"STAGECRAFT_HOME": str(team.cli.cwd / "other")})
    team.merge(web=images.web("v2"))
    refused = other.run("deploy", "--env", "prod", cwd=team.repository.work, seconds=LONG).expect(1)
    assert "container-not-ours" in refused.stderr
    assert f"environment {team.project.name}/prod of the log" in refused.stderr
    assert team.project.ids() == before
