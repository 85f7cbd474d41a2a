"""The lab that people start by hand: it says how its hosts are reached, and nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.up import keeper
from tests.support.lab_machine import run
from tests.support.lab_ssh import ssh
from tests.support.processes import wait_until

PROJECT = Path(__file__).parents[3]
SECONDS = 240
CGROUPS = Path("/sys/fs/cgroup")


def program(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `python -m tests.lab.NAME` to its end."""
    return subprocess.run(
        [sys.executable, "-m", f"tests.lab.{name}", *(str(one) for one in arguments)],
        cwd=PROJECT,
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def up(state: Path, *, hosts: int = 2) -> dict[str, Any]:
    done = program("up", "--hosts", str(hosts), "--state", state)
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def processes(made: dict[str, Any]) -> list[str]:
    """Those of a lab: they name its folder, or they see one of its disks."""
    folder = str(Path(made["controller"]).parent)
    found: list[str] = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if folder in words or folder in (path / "mounts").read_text():
                    found.append(f"{path.name}: {words}")
    return found


def traces(made: dict[str, Any]) -> list[str]:
    """What is left of a lab on this machine."""
    folder = Path(made["controller"]).parent
    subnet = next(iter(made["hosts"].values()))["address"].rpartition(".")[0]
    found = [str(folder)] if folder.exists() else []
    found += [line for line in run("ip", "-br", "address").splitlines() if f" {subnet}." in line]
    found += [str(path) for path in CGROUPS.glob(f"**/{folder.name}-*")]
    return [*found, *processes(made)]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A folder for one lab, which is ended after the test."""
    yield tmp_path / "state"
    program("down", "--state", tmp_path / "state")


@pytest.mark.engine
def test_a_lab_by_hand_says_how_it_is_reached_and_goes_without_a_trace(state: Path) -> None:
    made = up(state)
    assert list(made["hosts"]) == ["h1", "h2"]
    for name, host in made["hosts"].items():
        assert ssh(
            host["address"],
            f"hostname; test -S {host['engine_socket']} && echo there",
            identity_file=Path(made["identity_file"]),
            known_hosts=Path(made["known_hosts"]),
            user=host["user"],
        ).split() == [name, "there"]
    settings = yaml.safe_load(Path(made["controller"]).read_text())
    assert settings["network"] == {"provider": "static", "static": {"hosts": made["hosts"]}}
    assert settings["ssh"]["identity_files"] == [made["identity_file"]]
    assert "is up already" in program("up", "--state", state).stderr
    assert traces(made)

    assert program("down", "--state", state).returncode == 0
    wait_until("no trace", lambda: not traces(made), seconds=30)
    assert not state.exists()


@pytest.mark.engine
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_lab_ends_with_the_one_who_keeps_it(state: Path, number: signal.Signals) -> None:
    made = up(state)
    assert processes(made)
    process = keeper(state)
    assert process is not None
    os.kill(process, number)
    wait_until("the end of its keeper", lambda: keeper(state) is None, seconds=60)
    wait_until("the end of all its processes", lambda: not processes(made), seconds=30)
    if number == signal.SIGKILL:  # nobody was left to tidy up
        assert program("down", "--state", state).returncode == 0
    wait_until("no trace", lambda: not traces(made), seconds=30)
