"""The log under several processes, under `kill -9` and on a disk that is full."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from events.envelope import StoredEvent
from events.log import EventLog
from events.rows import fits
from events.sqlite import SqliteEventLog
from events.streams import StreamName
from tests.contract.event_log import part

ROOT = Path(__file__).parents[3]


def writer(path: Path, stream: str, count: int, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.unit.events.log_writer", str(path), stream, str(count), *more],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def rest(process: subprocess.Popen[str]) -> list[str]:
    """The whole lines that a process still had to say, once it has ended."""
    assert process.stdout is not None
    with process.stdout:  # not `communicate`, which passes over what `readline` has buffered
        output = process.stdout.read()
    process.wait(timeout=60)
    return output.split("\n")[:-1]


def check_whole(log: EventLog) -> list[StoredEvent]:
    """All events, once they are dense, chained, and there for whole appends of two each."""
    events = log.read()
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    assert len(events) == log.head()
    for stream in {event.stream for event in events}:
        of_stream = [event for event in events if event.stream == stream]
        assert [event.version for event in of_stream] == list(range(1, len(of_stream) + 1))
    for first, second in list(pairwise(events))[::2]:
        assert first.stream == second.stream
        assert int(second.data) == int(first.data) + 1
    previous = log.anchor(0).hash
    for row in log.rows():
        assert fits(row, previous=previous)
        previous = cast("bytes", row.hash)
    assert log.anchor().hash == previous
    return events


def told(events: Iterable[StoredEvent]) -> list[str]:
    """What the writers of these events say of them."""
    return sorted(f"{event.position} {event.id}" for event in events)


def test_a_follower_misses_nothing_of_processes_that_begin_a_log_at_once(tmp_path: Path) -> None:
    path, writers, threads, appends = tmp_path / "events.db", 4, 2, 20
    total = writers * threads * appends * 2
    processes = [
        writer(path, f"host/{number}", appends, "--threads", str(threads)) for number in range(writers)
    ]
    seen: list[StoredEvent] = []
    with closing(SqliteEventLog(path)) as log:
        while len(seen) < total:
            checkpoint = seen[-1].position if seen else 0
            assert log.wait_for(checkpoint, 30) > checkpoint
            seen += log.read(after=checkpoint, limit=7)
        said = [rest(process) for process in processes]
        assert [process.returncode for process in processes] == [0] * writers
        assert {lines[0] for lines in said} == {log.lineage}
        assert seen == check_whole(log)
        assert sorted(line for lines in said for line in lines[1:]) == told(seen)


def kill_in_the_middle(path: Path, *, rounds: int, processes: int) -> None:
    """In each round let writers append for a while, kill them, and look for everything they were told."""
    acknowledged: set[str] = set()
    for number in range(rounds):
        running = [writer(path, f"host/{index}", 0, "--threads", "3") for index in range(processes)]
        for process in running:
            assert process.stdout is not None
            lines = [process.stdout.readline().strip() for _ in range(3 + 5 * (number % 7))]
            acknowledged.update(lines[1:])
        for process in running:
            process.kill()
            acknowledged.update(rest(process))
        with closing(SqliteEventLog(path)) as log:
            found = told(check_whole(log))
        acknowledged = {line for line in acknowledged if " " in line}
        assert acknowledged <= set(found)
    assert len(acknowledged) >= rounds * processes * 2


def test_what_was_acknowledged_outlives_20_times_kill_9(tmp_path: Path) -> None:
    kill_in_the_middle(tmp_path / "events.db", rounds=5, processes=4)


@pytest.mark.slow
def test_what_was_acknowledged_outlives_200_times_kill_9(tmp_path: Path) -> None:
    kill_in_the_middle(tmp_path / "events.db", rounds=50, processes=4)


@pytest.mark.parametrize("most_bytes", [60 * 1024, 100 * 1024, 141 * 1024, 200 * 1024])
def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path, most_bytes: int) -> None:
    path = tmp_path / "events.db"
    process = writer(path, "host/full", 0, "--threads", "3", "--most-bytes", str(most_bytes))
    lineage, *lines = rest(process)
    assert process.returncode == 0
    assert [line for line in lines if " " not in line] == ["log-unavailable"] * 3
    with closing(SqliteEventLog(path)) as log:
        assert log.lineage == lineage
        assert sorted(line for line in lines if " " in line) == told(check_whole(log))
        log.append([part(StreamName("host/full/0"))])
