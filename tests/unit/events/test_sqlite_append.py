"""An append never builds on an end that was cut or changed, and says what it found.

Nor on one that it remembers, unless nothing was written since.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from events.broken import LogBrokenError, LogProblem
from events.kernel.errors import OutsideError
from events.log import VersionConflictError
from events.sqlite import SqliteEventLog
from events.sqlite_end import End, end_of
from tests.contract.event_log import A, B, part
from tests.support.disks import Disk, mounted

LIFTED = (
    "DROP TRIGGER events_are_not_updated",
    "DROP TRIGGER events_are_not_deleted",
    "DROP TRIGGER events_are_dense",
)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A closed log of three events whose guards somebody has taken away."""
    path = tmp_path / "events.db"
    with closing(SqliteEventLog(path)) as log:
        log.append([part(A, b"1", b"2"), part(B, b"3")])
    change(path, *LIFTED)
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", size_bytes=2 * 1024 * 1024) as made:
        yield made


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "kind", "position"),
    [
        ("DELETE FROM events WHERE position = 3", "tail", 3),
        ("DELETE FROM events", "all", 1),
        ("UPDATE events SET data = x'39' WHERE position = 3", "edit", 3),
        ("UPDATE events SET actor = 'cli:somebody' WHERE position = 3", "edit", 3),
        ("UPDATE events SET at_us = at_us + 1 WHERE position = 3", "edit", 3),
        ("UPDATE events SET hash = randomblob(32) WHERE position = 3", "rewrite", 3),
        ("UPDATE events SET hash = randomblob(32) WHERE position = 2", "edit", 3),
        ("DELETE FROM events WHERE position = 2", "edit", 3),
        ("UPDATE streams SET name = 'release/other' WHERE name LIKE 'release/%'", "edit", 3),
        ("UPDATE log_head SET position = 2", "rewrite", 3),
        ("UPDATE log_head SET position = 4", "tail", 4),
        ("UPDATE log_head SET hash = randomblob(32)", "rewrite", 3),
        ("UPDATE log_head SET log_id = 'another', hash = hash", None, 0),
    ],
)
@pytest.mark.parametrize("by", ["another", "who wrote it"])
def test_an_append_refuses_to_cover_up_what_was_done_to_the_end(
    tmp_path: Path, by: str, statement: str, kind: str | None, position: int
) -> None:
    path = tmp_path / "events.db"
    with closing(SqliteEventLog(path)) as first, closing(SqliteEventLog(path)) as second:
        first.append([part(A, b"1", b"2"), part(B, b"3")])
        change(path, *LIFTED, statement)
        log = first if by == "who wrote it" else second
        before = log.read()
        if kind is None:  # beyond the end an append does not look
            log.append([part(A)])
            return
        for _ in range(2):
            with pytest.raises(LogBrokenError) as raised:
                log.append([part(A)])
            assert (raised.value.problem.kind, raised.value.problem.position) == (kind, position)
            assert raised.value.where.file == str(path)
            assert log.read() == before


def test_an_empty_log_whose_first_hash_was_changed_takes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    SqliteEventLog(path).close()
    change(path, "UPDATE log_head SET hash = randomblob(32)")
    with closing(SqliteEventLog(path)) as log, pytest.raises(LogBrokenError, match="does not verify"):
        log.append([part(A)])


def test_a_mark_is_seen_by_every_opener_and_outlives_them(filled: Path) -> None:
    problem = LogProblem(position=2, kind="swap", detail="2 and 3")
    with closing(SqliteEventLog(filled)) as log, closing(SqliteEventLog(filled)) as other:
        for one in (other, log):
            one.append([part(A)])
        log.mark_broken(problem)
        for one in (other, log):
            with pytest.raises(LogBrokenError):
                one.append([part(A)])
    with closing(SqliteEventLog(filled)) as later:
        assert later.problem() == problem
        later.clear_broken()
        later.append([part(A)])


@pytest.mark.parametrize("text", ["", "7", "{}", "not JSON", '{"position": "x", "kind": 1, "detail": 2}'])
def test_a_mark_that_nobody_of_us_made_refuses_as_well(filled: Path, text: str) -> None:
    with closing(sqlite3.connect(filled, isolation_level=None)) as connection:
        connection.execute("UPDATE log_head SET broken = ?", (text,))
    with closing(SqliteEventLog(filled)) as log:
        with pytest.raises(LogBrokenError):
            log.append([part(A)])
        problem = log.problem()
        assert problem is not None
        assert problem.kind == "rewrite"
        assert text in problem.detail


def test_an_end_is_remembered_until_anybody_writes(filled: Path) -> None:
    with closing(sqlite3.connect(filled, isolation_level=None)) as connection:
        asked: list[str] = []

        def look(last: End | None) -> End:
            connection.execute("BEGIN IMMEDIATE")
            connection.set_trace_callback(asked.append)
            try:
                return end_of(connection, last, file="events.db")
            finally:
                connection.set_trace_callback(None)
                connection.execute("ROLLBACK")

        end = look(None)
        assert (end.position, len(asked)) == (3, 3)
        asked.clear()
        assert look(end) is end
        assert asked == ["PRAGMA data_version"]
        change(filled, "INSERT INTO streams (name, version) VALUES ('host/x', 1)")
        later = look(end)
        assert later is not end
        connection.execute("DELETE FROM streams WHERE name = 'host/x'")
        own = look(later)
        assert own is not later
        connection.execute("BEGIN")
        connection.execute("UPDATE log_head SET position = 9")
        connection.execute("ROLLBACK")
        assert look(own) is not own


def test_what_failed_leaves_no_end_behind(disk: Disk) -> None:
    with closing(SqliteEventLog(disk.folder / "events.db")) as log:
        log.append([part(A, b"1")])
        disk.fill()
        with pytest.raises(OutsideError, match="cannot be used"):
            log.append([part(A, b'"' + b"x" * 100_000 + b'"')])
        disk.make_room()
        (stored,) = log.append([part(A, b"2")])
        assert (stored.position, stored.version) == (2, 2)


def test_one_that_is_refused_leaves_the_end_as_it_was(tmp_path: Path) -> None:
    with closing(SqliteEventLog(tmp_path / "events.db")) as log:
        log.append([part(A, b"1"), part(B, b"2")])
        log.append([part(A, b"3", expected=1)])
        for expected in (0, 1, 3):
            with pytest.raises(VersionConflictError):
                log.append([part(A, expected=expected)])
        (stored,) = log.append([part(B, b"4", expected=1)])
        assert (stored.position, stored.version) == (4, 2)
        (stored,) = log.append([part(A, b"5", expected=2)])
        assert (stored.position, stored.version) == (5, 3)
