"""Locks, settings and errors of a SQLite file of ours."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from events.actors import ACTORS
from events.kernel.errors import OutsideError
from events.sqlite_file import FileKind, SqliteFile
from events.sqlite_schema import EVENT_LOG


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.mark.parametrize(("kind", "journal"), [(EVENT_LOG, "wal"), (ACTORS, "delete")])
def test_a_commit_waits_for_the_disk(path: Path, kind: FileKind, journal: str) -> None:
    file = SqliteFile(path, kind)
    with file.writing() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == (journal,)
    file.close()


def test_who_writes_the_log_keeps_many_pages_and_who_reads_it_few(path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as plain:
        default = plain.execute("PRAGMA cache_size").fetchone()
    with closing(SqliteFile(path, EVENT_LOG)) as file:
        with file.writing() as connection:
            assert connection.execute("PRAGMA cache_size").fetchone() == (-64 * 1024,)  # KiB
            assert connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (4000,)
        with file.reading() as connection:
            assert connection.execute("PRAGMA cache_size").fetchone() == default


def test_the_connection_for_reading_cannot_write(path: Path) -> None:
    file = SqliteFile(path, EVENT_LOG)
    with pytest.raises(OutsideError, match="readonly"), file.reading() as connection:
        connection.execute("UPDATE log_head SET position = 5")
    file.close()


def test_a_transaction_is_undone_by_any_error(path: Path) -> None:
    file = SqliteFile(path, EVENT_LOG)

    def interrupted() -> None:
        with file.writing() as connection:
            connection.execute("UPDATE log_head SET position = 5")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with file.reading() as connection:
        assert connection.execute("SELECT position FROM log_head").fetchone() == (0,)
    file.close()


def test_a_transaction_that_sqlite_ended_itself_needs_no_rollback(path: Path) -> None:
    file = SqliteFile(path, EVENT_LOG)
    with pytest.raises(OutsideError, match="CHECK"), file.writing() as connection:
        connection.execute("UPDATE OR ROLLBACK log_head SET position = -1")
    with file.writing() as connection:
        connection.execute("UPDATE log_head SET position = 1")
    file.close()


def test_a_lock_that_is_held_too_long_is_an_error_that_says_so(path: Path) -> None:
    SqliteFile(path, EVENT_LOG).close()
    file = SqliteFile(path, EVENT_LOG, busy_seconds=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutsideError, match="database is locked") as raised, file.writing():
            pass
        assert isinstance(raised.value.__cause__, sqlite3.OperationalError)
        with file.reading() as connection:  # readers do not mind
            assert connection.execute("SELECT position FROM log_head").fetchone() == (0,)
        other.execute("COMMIT")
    with file.writing():
        pass
    file.close()


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_opening_waits_for_somebody_who_holds_the_new_file(path: Path, lock: str) -> None:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute(f"BEGIN {lock}")
    released = threading.Timer(0.15, other.rollback)
    released.start()
    SqliteFile(path, EVENT_LOG, busy_seconds=20).close()
    released.join()
    other.close()


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_opening_gives_up_when_the_new_file_stays_held(path: Path, lock: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {lock}")
        with pytest.raises(OutsideError, match="database is locked"):
            SqliteFile(path, EVENT_LOG, busy_seconds=0.05)


def test_openers_that_meet_at_a_new_file_all_succeed(tmp_path: Path) -> None:
    def opened(path: Path, start: threading.Barrier) -> str:
        start.wait(timeout=10)
        file = SqliteFile(path, EVENT_LOG)
        with file.reading() as connection:
            lineage: str = connection.execute("SELECT lineage FROM log_head").fetchone()[0]
        file.close()
        return lineage

    with ThreadPoolExecutor(4) as pool:
        for number in range(25):
            start = threading.Barrier(4)
            found = [pool.submit(opened, tmp_path / f"{number}.db", start) for _ in range(4)]
            assert len({one.result() for one in found}) == 1


def test_a_file_of_one_kind_is_not_taken_for_another(path: Path) -> None:
    SqliteFile(path, EVENT_LOG).close()
    with pytest.raises(OutsideError, match="no file of names"):
        SqliteFile(path, ACTORS)


def test_an_error_while_making_tables_leaves_an_empty_file(path: Path) -> None:
    broken = replace(EVENT_LOG, tables=(*EVENT_LOG.tables, "CREATE NONSENSE"))
    with pytest.raises(OutsideError, match="syntax error"):
        SqliteFile(path, broken)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM sqlite_master").fetchall() == []
    SqliteFile(path, EVENT_LOG).close()
