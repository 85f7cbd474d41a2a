"""`lock show` and `lock break`: who works on an environment, and an end to one that hangs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.holders import holder_of
from controller.locks import lock_file
from tests.unit.cli.conftest import Call
from tests.unit.controller.test_holders import HOLD
from tests.unit.projections.views.history import History


@pytest.fixture
def holder(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of shop/prod."""
    argv = [sys.executable, "-c", HOLD, str(home / "run"), "shop/prod"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def test_show_tells_held_from_free(call: Call, history: History, holder: subprocess.Popen[str]) -> None:
    history.deployed("a")
    history.environment = "dev"
    history.deployed("a")
    free, held = json.loads(call("lock", "show", "--json").out)
    assert free == {"environment": "shop/dev", "holder": None}
    assert held["environment"] == "shop/prod"
    assert held["holder"].pop("start") > 0
    assert len(held["holder"].pop("boot")) == 36
    assert held["holder"].pop("since").endswith("Z")
    told = {"pid": holder.pid, "purpose": "deploy", "token": None, "alive": True, "state": "running"}
    assert held["holder"] == told
    lines = call("lock", "show").out.splitlines()
    assert lines[1].split() == ["shop/dev", "free"]
    assert lines[2].split()[:4] == ["shop/prod", "held", str(holder.pid), "running"]
    assert [line.split() for line in call("lock", "show", "--env", "dev").out.splitlines()[1:]] == [
        ["shop/dev", "free"]
    ]


def test_show_without_a_home_makes_none(call: Call, home: Path) -> None:
    assert call("lock", "show").out == "No environments found\n"
    assert json.loads(call("lock", "show", "--json").out) == []
    assert call("lock", "show", "--env", "prod").code == 1
    assert not home.exists()


def test_break_ends_the_holder_and_says_so(
    call: Call, history: History, home: Path, holder: subprocess.Popen[str]
) -> None:
    history.deployed("a")
    shown = call("lock", "break", "--env", "prod", "--reason", "it hangs", "--dry-run")
    assert (shown.code, holder.poll()) == (0, None)
    assert str(holder.pid) in shown.out
    said = call("lock", "break", "--env", "prod", "--reason", "it hangs")
    assert (said.code, said.err) == (0, "")
    assert f"process {holder.pid} was killed (deploy" in said.out
    assert "1 that it had started ended with it" in said.out
    assert holder.wait(5) == -9
    assert holder_of(lock_file(home / "run", "shop/prod")) is None
    event = json.loads(call("events", "list", "--json", "--type", "LockBroken").out)
    assert event["stream"] == "environment/shop/prod"
    assert event["actor"]["kind"] == "cli"
    assert event["data"].pop("since").endswith("Z")
    assert event["data"] == {"holder_pid": holder.pid, "purpose": "deploy", "reason": "it hangs"}
    again = call("lock", "break", "--env", "prod", "--reason", "it hangs")
    assert again.code == 1
    assert "lock-not-held" in again.err
    assert call("status", "--env", "prod").code == 0


def test_break_works_before_the_log_knows_the_environment(
    call: Call, home: Path, holder: subprocess.Popen[str]
) -> None:
    assert call("lock", "break", "--env", "shop/prod", "--reason", "x").code == 0
    assert holder.wait(5) == -9
    assert (home / "events.db").is_file()


def test_break_needs_a_reason_and_an_environment(
    call: Call, history: History, holder: subprocess.Popen[str]
) -> None:
    history.deployed("a")
    assert "reason-required" in call("lock", "break", "--env", "prod", "--reason", " ").err
    assert "environment-required" in call("lock", "break", "--reason", "x").err
    assert call("lock", "break", "--env", "prod").code == 1
    assert "environment-unknown" in call("lock", "break", "--env", "prd", "--reason", "x").err
    assert holder.poll() is None
