"""`doctor` on a real machine: all is well, and then one thing after the other is taken away."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from docker.client import DockerClient

from controller.diagnosis import (
    check_clock,
    check_compose,
    check_confine,
    check_engine,
    check_python,
    diagnose,
)
from controller.home import Home
from events.kernel.compose_client import COMPOSE_CLIENT_MISSING
from events.kernel.errors import ExitCode, InternalError
from events.sqlite import SqliteEventLog
from projections.engine.port import EngineIdentity
from tests.support.cli import Outcome, Stagecraft
from tests.unit.projections.views.history import History

NAMES = ["python", "git", "setpriv", "compose", "confine", "engine", "home", "clock"]


def path_with(folder: Path, *programs: str) -> Mapping[str, str]:
    """A PATH that holds these programs alone."""
    folder.mkdir()
    for program in programs:
        found = shutil.which(program)
        assert found is not None
        (folder / program).symlink_to(found)
    return {"PATH": str(folder)}


def statuses(outcome: Outcome) -> dict[str, str]:
    """The status by check."""
    return {finding["name"]: finding["status"] for finding in outcome.json()}


@pytest.fixture
def machine(cli: Stagecraft, engine: DockerClient) -> Stagecraft:
    """The command on a machine whose engine runs."""
    assert engine.ping()
    return cli


def test_a_machine_that_has_all_is_well(machine: Stagecraft) -> None:
    lines = machine.ok("doctor").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["ok", name] for name in NAMES]
    assert "API 1." in lines[5]
    assert lines[6].endswith("nothing recorded yet")
    assert not (machine.cwd / "home").exists()


def test_without_git_it_fails_and_says_how_to_get_it(machine: Stagecraft, tmp_path: Path) -> None:
    outcome = machine.run("doctor", environment=path_with(tmp_path / "bin", "setpriv")).expect(1)
    assert [line for line in outcome.stdout.splitlines() if line.startswith("FAIL")] == [
        "FAIL  git      not found on PATH; next: install it: `apt-get install git`"
    ]


def test_without_a_wall_it_warns(tmp_path: Path) -> None:
    found = check_confine(str(tmp_path))
    assert (found.status, "unshare" in found.next or "util-linux" in found.next) == ("warn", True)


def test_without_setpriv_it_warns(machine: Stagecraft, tmp_path: Path) -> None:
    outcome = machine.run("doctor", "--json", environment=path_with(tmp_path / "bin", "git")).expect(0)
    assert statuses(outcome) == {name: "warn" if name == "setpriv" else "ok" for name in NAMES}


def test_a_git_that_does_not_run_or_is_old_is_told(machine: Stagecraft, tmp_path: Path) -> None:
    path = path_with(tmp_path / "bin", "setpriv", "sh")
    git = tmp_path / "bin" / "git"
    git.write_text("#!/bin/sh\necho git version 2.20.1\n")
    git.chmod(0o755)
    old = machine.run("doctor", environment=path).expect(0)
    assert "warn  git      git version 2.20.1 is older" in old.stdout
    git.write_text("#!/bin/sh\necho broken >&2\nexit 4\n")
    broken = machine.run("doctor", environment=path).expect(1)
    assert "ends with 4: broken" in broken.stdout


def test_without_an_engine_it_fails_outside(machine: Stagecraft) -> None:
    outcome = machine.run("doctor", environment={"DOCKER_HOST": "unix:///nowhere.sock"}).expect(2)
    (line,) = [line for line in outcome.stdout.splitlines() if line.startswith("FAIL")]
    assert line.startswith("FAIL  engine   the Docker engine at unix:///nowhere.sock does not answer")
    assert "next: look with `docker version`" in line


def test_a_damaged_log_fails_outside_and_a_good_one_is_counted(machine: Stagecraft) -> None:
    home = machine.cwd / "home"
    home.mkdir()
    log = SqliteEventLog(home / "events.db")
    History(log).suspended()
    log.close()
    assert "1 events" in machine.ok("doctor").stdout
    with sqlite3.connect(home / "events.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    outcome = machine.run("doctor", "--json").expect(2)
    assert statuses(outcome)["home"] == "FAIL"


def test_a_home_that_is_a_file_fails(machine: Stagecraft) -> None:
    (machine.cwd / "home").write_text("")
    outcome = machine.run("doctor", "--json").expect(1)
    assert statuses(outcome)["home"] == "FAIL"


def test_a_clock_behind_the_log_fails(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert check_clock(home, now=datetime(1970, 1, 1, tzinfo=UTC)).blame is ExitCode.USER
    log = SqliteEventLog(home.events_db)
    History(log).suspended()  # on 2026-01-02
    log.close()
    assert check_clock(home, now=datetime(2026, 1, 1, tzinfo=UTC)).status == "FAIL"
    assert check_clock(home, now=datetime(2026, 1, 3, tzinfo=UTC)).status == "ok"


def test_an_old_python_fails() -> None:
    assert check_python((3, 10, 9)).blame is ExitCode.USER
    assert check_python((3, 11, 0)).status == "ok"


@pytest.mark.parametrize(
    ("script", "said"), [("exit 3", "ends with 3"), ("echo v1.29.0", "is 1.29.0"), (":", "ends with 0")]
)
def test_another_compose_client_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    program = tmp_path / "docker-compose"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)

    def other() -> Path:
        return program

    monkeypatch.setattr("controller.diagnosis.compose_client", other)
    finding = asyncio.run(check_compose())
    assert (finding.status, finding.blame) == ("FAIL", ExitCode.OUTSIDE)
    assert said in finding.detail


def test_an_old_engine_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: DockerClient
) -> None:
    assert engine.ping()

    async def old(_engine: object) -> EngineIdentity:
        return EngineIdentity(machine="m", engine="e", engine_version="19.03", api_version="1.40")

    monkeypatch.setattr("projections.engine.docker.DockerEngine.identity", old)
    assert asyncio.run(check_engine(Home(tmp_path))).status == "warn"


def test_a_missing_compose_client_is_a_finding(
    machine: Stagecraft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del machine

    def missing() -> Path:
        raise InternalError(COMPOSE_CLIENT_MISSING, "no docker-compose")

    monkeypatch.setattr("controller.diagnosis.compose_client", missing)
    found = {one.name: one for one in diagnose(Home(tmp_path), environ=os.environ, now=datetime.now(UTC))}
    assert (found["compose"].status, found["compose"].blame) == ("FAIL", ExitCode.OUTSIDE)
    assert found["engine"].status == "ok"
