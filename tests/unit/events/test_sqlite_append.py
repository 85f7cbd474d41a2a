"""An append never builds on an end that was cut or changed, and says what it found."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from events.broken import LogBrokenError, LogProblem
from events.sqlite import SqliteEventLog
from tests.contract.event_log import A, B, part

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
def test_an_append_refuses_to_cover_up_what_was_done_to_the_end(
    filled: Path, statement: str, kind: str | None, position: int
) -> None:
    change(filled, statement)
    with closing(SqliteEventLog(filled)) as log:
        before = log.read()
        if kind is None:  # beyond the end an append does not look
            log.append([part(A)])
            return
        with pytest.raises(LogBrokenError) as raised:
            log.append([part(A)])
        assert (raised.value.problem.kind, raised.value.problem.position) == (kind, position)
        assert raised.value.where.file == str(filled)
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
        log.mark_broken(problem)
        with pytest.raises(LogBrokenError):
            other.append([part(A)])
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
