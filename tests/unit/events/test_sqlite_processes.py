"""The log under several processes, under `kill -9` and on a disk that is full."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from events.envelope import StoredEvent
from events.sqlite import SqliteEventLog
from events.streams import StreamName

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


def check_dense(events: list[StoredEvent]) -> None:
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    for stream in {event.stream for event in events}:
        versions = [event.version for event in events if event.stream == stream]
        assert versions == list(range(1, len(versions) + 1))


def check_whole_appends(events: list[StoredEvent]) -> None:
    """Of the two events of each append both are there, one after the other."""
    for first, second in list(pairwise(events))[::2]:
        assert first.stream == second.stream
        assert int(second.data) == int(first.data) + 1


def test_a_follower_misses_nothing_of_processes_that_begin_a_log_at_once(tmp_path: Path) -> None:
    path, writers, appends = tmp_path / "events.db", 3, 30
    processes = [writer(path, f"host/{number}", appends) for number in range(writers)]
    log = SqliteEventLog(path)
    seen: list[StoredEvent] = []
    while len(seen) < writers * appends * 2:
        checkpoint = seen[-1].position if seen else 0
        assert log.wait_for(checkpoint, 30) > checkpoint
        seen += log.read(after=checkpoint, limit=7)
    said = [rest(process) for process in processes]
    assert [process.returncode for process in processes] == [0] * writers
    assert {lines[0] for lines in said} == {log.lineage}
    assert seen == log.read()
    check_dense(seen)
    check_whole_appends(seen)
    acknowledged = sorted(line for lines in said for line in lines[1:])
    assert acknowledged == sorted(f"{event.position} {event.id}" for event in seen)
    log.close()


def kill_in_the_middle(path: Path, *, rounds: int, processes: int) -> None:
    """In each round let writers append for a while, kill them, and look for everything they were told."""
    acknowledged: set[str] = set()
    for number in range(rounds):
        running = [writer(path, f"host/{index}", 0) for index in range(processes)]
        for process in running:
            assert process.stdout is not None
            lines = [process.stdout.readline().strip() for _ in range(3 + 5 * (number % 7))]
            acknowledged.update(lines[1:])
        for process in running:
            process.kill()
            acknowledged.update(rest(process))
        log = SqliteEventLog(path)
        events = log.read()
        check_dense(events)
        check_whole_appends(events)
        assert len(events) == log.head()
        assert acknowledged <= {f"{event.position} {event.id}" for event in events}
        log.close()
    assert len(acknowledged) >= rounds * processes * 2


def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    kill_in_the_middle(tmp_path / "events.db", rounds=3, processes=1)


@pytest.mark.slow
def test_what_was_acknowledged_outlives_kill_9_of_several_writers_many_times(tmp_path: Path) -> None:
    kill_in_the_middle(tmp_path / "events.db", rounds=10, processes=3)


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    process = writer(path, "host/full", 0, str(200 * 1024))
    lineage, *lines = rest(process)
    assert process.returncode == 0
    assert lines.pop() == "log-unavailable"
    log = SqliteEventLog(path)
    assert log.lineage == lineage
    events = log.read(stream=StreamName("host/full"))
    check_dense(events)
    check_whole_appends(events)
    assert [f"{event.position} {event.id}" for event in events] == lines
    log.close()
