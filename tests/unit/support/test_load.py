"""The load generator counts what is lost, all of it and nothing else, and never asks again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.load import Plan, loaded, running_load
from tests.support.load_result import LoadResult
from tests.support.load_wire import Target
from tests.support.processes import wait_until
from tests.support.traffic_images import PROGRAM

SHORT = Plan(rate=100, kept=0, streams=())


@dataclass(frozen=True)
class Served:
    process: subprocess.Popen[bytes]
    output: Path
    port: int

    @property
    def target(self) -> Target:
        return Target(address="127.0.0.1", port=self.port, name="app.test")

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@contextlib.contextmanager
def served(folder: Path, *, name: str = "app", **variables: str) -> Generator[Served]:
    """The app as a process."""
    output = folder / f"{name}.log"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", PROGRAM],
            env={**os.environ, "HOST": "127.0.0.1", "PORT": "0", **variables},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    try:
        wait_until("the app", lambda: b"serves on" in output.read_bytes())
        (port,) = re.findall(r"serves on (\d+)", output.read_text())
        yield Served(process, output, int(port))
    finally:
        process.kill()
        process.wait()


def load(app: Served, plan: Plan, *, seconds: float) -> LoadResult:
    return asyncio.run(loaded(app.target, plan, seconds=seconds))


def test_nothing_is_lost_where_all_is_answered(tmp_path: Path) -> None:
    with served(tmp_path, SLOW="0.3", EVENTS="0.3") as app:
        result = load(app, Plan(rate=100, kept=3, kept_rate=20, streams=("slow", "events")), seconds=1.5)
        assert app.end() == 0
    assert (result.failed, result.lost, result.kept_closed) == (0, [], 0)
    assert result.requests > 150
    assert result.cut == 0
    assert min(one.well for one in result.streams.values()) >= 3
    assert list(result.versions) == ["app v1"], "a POST came whole, or it would say another count"
    short = sum(one.count for one in result.versions.values())
    assert short + sum(one.well for one in result.streams.values()) == result.requests
    assert result.longest_gap_ms < 1000


@pytest.mark.parametrize(
    ("way", "kind"), [("cut", "cut"), ("half", "cut"), ("fail", "status 502")], ids=["cut", "half", "fail"]
)
def test_each_request_that_is_lost_is_counted_once(tmp_path: Path, way: str, kind: str) -> None:
    with served(tmp_path, LOSES=f"{way}:10") as app:
        result = load(app, SHORT, seconds=0.8)
    assert result.requests >= 50
    assert result.by_kind == {kind: result.requests // 10}, "and none was asked again: the turns are exact"
    assert result.failed == len(result.lost) == result.requests // 10


def test_a_kept_connection_that_breaks_under_a_request_loses_it(tmp_path: Path) -> None:
    with served(tmp_path, LOSES="cut:7") as app:
        plan = Plan(rate=0, kept=2, kept_rate=50, streams=())
        result = load(app, plan, seconds=0.8)
    assert result.by_kind == {"cut": result.requests // 7}
    assert {one.what for one in result.lost} <= {"GET kept", "POST kept"}


def test_streams_that_end_early_are_cut_and_others_are_not(tmp_path: Path) -> None:
    with served(tmp_path, SLOW="0.1", EVENTS="0.2", LOSES="slow:2,events:2,ws:1") as app:
        result = load(app, Plan(rate=10, kept=0), seconds=1.5)
    slow, events, ws = (result.streams[name] for name in ("slow", "events", "ws"))
    assert slow.cut == (slow.cut + slow.well) // 2 > 0
    assert events.cut == (events.cut + events.well) // 2 > 0
    assert (ws.well, ws.cut > 0) == (0, True)
    assert result.failed == result.cut
    assert set(result.by_kind) == {"slow cut", "events cut", "ws cut"}


def test_a_websocket_is_well_when_every_echo_came_back(tmp_path: Path) -> None:
    with served(tmp_path) as app:
        result = load(app, Plan(rate=5, kept=0, streams=("ws",), echoes=5), seconds=0.2)
    assert (result.streams["ws"].well, result.failed) == (1, 0), (
        "it is waited for, though nothing new is begun"
    )
    assert result.longest_gap_ms < 1000 * result.seconds - 250, "and the time of waiting is no gap"


def test_an_abrupt_end_cuts_and_what_follows_is_refused_and_the_gap_is_seen(tmp_path: Path) -> None:
    plan = Plan(rate=100, kept=2, streams=("slow",))
    with served(tmp_path) as app, running_load(app.target, plan, folder=tmp_path) as running:
        time.sleep(0.5)
        app.end()
        time.sleep(0.6)
        result = running.end()
    assert result.by_kind["slow cut"] == 1
    assert result.by_kind["refused"] > 30
    assert result.longest_gap_ms > 500


def test_a_graceful_end_finishes_what_is_open(tmp_path: Path) -> None:
    plan = Plan(rate=20, kept=0, streams=("slow",))
    with (
        served(tmp_path, ON_TERM="graceful", SLOW="1") as app,
        running_load(app.target, plan, folder=tmp_path) as running,
    ):
        time.sleep(0.3)
        assert app.end() == 0
        result = running.end()
    assert result.streams["slow"].well == 1


def test_a_request_that_hangs_is_lost_after_its_time(tmp_path: Path) -> None:
    with served(tmp_path, LOSES="hang:3") as app:
        result = load(app, Plan(rate=5, kept=0, streams=(), patience=0.5), seconds=0.7)
    assert result.by_kind == {"timeout": result.requests // 3}


def test_what_would_be_too_much_at_once_is_left_out_and_counted(tmp_path: Path) -> None:
    plan = Plan(rate=50, kept=0, streams=(), patience=0.4, most_open=2)
    with served(tmp_path, LOSES="hang:2") as app:
        result = load(app, plan, seconds=0.7)
    assert result.left_out > 5
    assert result.by_kind == {"timeout": result.requests // 2}, "and what was begun is counted as ever"


def test_a_version_that_dies_late_says_why(tmp_path: Path) -> None:
    with served(tmp_path, DIES_AFTER="0.1") as app:
        assert app.process.wait(10) == 3
        assert "the database went away" in app.output.read_text()
