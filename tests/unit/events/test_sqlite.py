"""What only a file can promise: durability, processes, and respect for files of others."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from events.kernel.errors import OutsideError
from events.log import LOG_TOO_NEW, LOG_UNAVAILABLE, EventLog, Expect
from events.reserve import Reserve
from events.sqlite import POLL_SECONDS, SqliteEventLog
from events.sqlite_file import SqliteFile
from events.sqlite_writer import SqliteWriter
from events.streams import StreamName
from tests.contract.event_log import A, B, part

PAGE_BYTES = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "deep" / "events.db"


@pytest.fixture
def filled(path: Path) -> Path:
    """A closed log with three events in two streams."""
    log = SqliteEventLog(path)
    log.append([part(A, b"1", b"2"), part(B, b"3")])
    log.close()
    return path


def change(path: Path, *statements: str) -> None:
    """What somebody else does to the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def opening_fails(path: Path) -> OutsideError:
    with pytest.raises(OutsideError) as raised:
        SqliteEventLog(path)
    assert raised.value.where.file == str(path)
    return raised.value


def test_the_first_appends_of_many_threads_share_one_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    class SlowlyMade(SqliteWriter):
        def __init__(
            self, file: SqliteFile, path: Path, *, reserve: Reserve | None, written: Callable[[], None]
        ) -> None:
            made.append(1)
            time.sleep(0.1)  # in which the other threads come
            super().__init__(file, path, reserve=reserve, written=written)

    monkeypatch.setattr("events.sqlite_writer.SqliteWriter", SlowlyMade)
    with closing(SqliteEventLog(path)) as log, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(log.append, [part(A)]) for _ in range(8)]
        assert sorted(one.result()[0].position for one in asked) == list(range(1, 9))
    assert len(made) == 1


def test_events_versions_and_lineage_stay_over_close_and_open(path: Path) -> None:
    log = SqliteEventLog(path)
    append_id = uuid4()
    stored = log.append([part(A, b"1", b"2", expected=Expect.NO_STREAM), part(B, b"3")], append_id=append_id)
    lineage = log.lineage
    log.close()
    again = SqliteEventLog(path)
    assert again.lineage == lineage
    assert again.read() == list(stored)
    assert again.append([part(A, b"1", b"2"), part(B, b"3")], append_id=append_id) == stored
    (more,) = again.append([part(A, b"4", expected=2)])
    assert (more.position, more.version) == (4, 3)
    again.close()


def test_an_append_is_on_disk_when_it_returns_also_without_a_close(path: Path) -> None:
    log = SqliteEventLog(path)
    stored = log.append([part(A)])
    other = SqliteEventLog(path)
    assert other.read() == list(stored)
    other.close()
    log.close()


def test_new_folders_and_files_are_private(filled: Path) -> None:
    folders = [filled.parent, filled.parent.parent]
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700, 0o700]
    assert filled.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    SqliteEventLog(tmp_path / "events.db").close()
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_two_logs_on_one_file_share_one_order(path: Path) -> None:
    one, two = SqliteEventLog(path), SqliteEventLog(path)
    logs: list[EventLog] = [one, two, two, one, two]
    positions = [log.append([part(A)])[0].position for log in logs]
    assert positions == [1, 2, 3, 4, 5]
    assert one.read() == two.read()
    assert one.lineage == two.lineage
    one.close()
    two.close()


def test_a_waiter_sees_what_another_opener_appends(path: Path) -> None:
    one, two = SqliteEventLog(path), SqliteEventLog(path)
    one.append([part(A)])
    assert two.wait_for(0, 5) == 1
    one.close()
    two.close()


def test_a_waiter_of_the_same_process_wakes_before_it_would_look_again(path: Path) -> None:
    log = SqliteEventLog(path)
    seconds: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        for head in range(5):
            waiting = pool.submit(log.wait_for, head, 30)
            time.sleep(0.005)  # the wait has mostly begun; the quickest of five tries counts
            log.append([part(A)])
            started = time.monotonic()
            assert waiting.result(timeout=5) == head + 1
            seconds.append(time.monotonic() - started)
    assert min(seconds) < POLL_SECONDS / 2
    log.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET data = x'00' WHERE position = 2",
        "UPDATE events SET position = 9 WHERE position = 3",
        "DELETE FROM events WHERE position = 3",
        "DELETE FROM events",
        "INSERT INTO events SELECT 9, randomblob(16), 1, 9, 'X', 1, 0, 'a', randomblob(16), NULL, x'', "
        + ", ".join(["randomblob(32)"] * 3),
        "INSERT OR REPLACE INTO events SELECT * FROM events WHERE position = 3",
    ],
)
def test_the_file_itself_refuses_to_change_events(filled: Path, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match=r"events are never|right after the one before"):
        change(filled, statement)
    log = SqliteEventLog(filled)
    assert [event.data for event in log.read()] == [b"1", b"2", b"3"]
    log.close()


def test_a_later_version_may_add_columns_to_events(filled: Path) -> None:
    change(filled, "ALTER TABLE events ADD COLUMN more BLOB")
    log = SqliteEventLog(filled)
    log.append([part(A, b"4")])
    assert [event.data for event in log.read()] == [b"1", b"2", b"3", b"4"]
    log.close()


def test_a_log_of_a_newer_stagecraft_is_left_alone(filled: Path) -> None:
    change(filled, "PRAGMA user_version = 3")
    before = filled.read_bytes()
    error = opening_fails(filled)
    assert error.code == LOG_TOO_NEW
    assert "version 3" in error.message
    assert filled.read_bytes() == before


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE theirs (a)",),
        ("CREATE TABLE theirs (a)", "PRAGMA user_version = 1"),
        ("PRAGMA application_id = 77", "PRAGMA user_version = 1"),
        ("PRAGMA user_version = 3",),
    ],
)
def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path, statements: tuple[str, ...]) -> None:
    path = tmp_path / "events.db"
    change(path, *statements)
    before = path.read_bytes()
    error = opening_fails(path)
    assert (error.code, error.message) == (LOG_UNAVAILABLE, "this file is no event log of Stagecraft")
    assert path.read_bytes() == before


def test_our_mark_without_a_version_is_not_taken_for_a_log(filled: Path) -> None:
    change(filled, "PRAGMA user_version = 0")
    assert opening_fails(filled).code == LOG_UNAVAILABLE


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    path.write_bytes(b"this is not a database, and it is long enough to look at" * 20)
    before = path.read_bytes()
    error = opening_fails(path)
    assert error.code == LOG_UNAVAILABLE
    assert "not a database" in error.why
    assert isinstance(error.__cause__, sqlite3.DatabaseError)
    assert path.read_bytes() == before


def test_a_log_that_was_cut_short_anywhere_is_an_error_that_says_so(filled: Path) -> None:
    whole = filled.read_bytes()
    pages = len(whole) // PAGE_BYTES
    for kept in [100, 1000, *(page * PAGE_BYTES for page in range(1, pages)), len(whole) - 100]:
        filled.write_bytes(whole[:kept])
        error = opening_fails(filled)
        assert error.code == LOG_UNAVAILABLE
        assert "put a backup in its place" in error.next, kept
        assert filled.read_bytes() == whole[:kept]


def test_a_log_that_has_lost_its_head_is_left_alone(filled: Path) -> None:
    change(filled, "DELETE FROM log_head")
    assert "lost its head" in opening_fails(filled).message


def test_an_empty_file_becomes_a_log(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    path.touch()
    log = SqliteEventLog(path)
    assert log.head() == 0
    log.close()


def test_a_folder_or_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "events.db").mkdir()
    assert opening_fails(tmp_path / "events.db").code == LOG_UNAVAILABLE
    error = opening_fails(tmp_path / "file" / "events.db")
    assert error.code == LOG_UNAVAILABLE
    assert isinstance(error.__cause__, OSError)


@pytest.mark.parametrize(
    "step",
    ["INSERT ON streams", "UPDATE ON streams", "INSERT ON events", "INSERT ON appends", "UPDATE ON log_head"],
)
def test_a_write_that_fails_at_any_step_leaves_nothing_of_the_append(filled: Path, step: str) -> None:
    change(filled, f"CREATE TRIGGER fails BEFORE {step} BEGIN SELECT RAISE(ABORT, 'no room'); END")
    append_id, parts = uuid4(), [part(StreamName("host/new")), part(A, b"4")]
    with closing(SqliteEventLog(filled)) as log:
        before = log.anchor()
        with pytest.raises(OutsideError, match="no room") as raised:
            log.append(parts, append_id=append_id)
        assert raised.value.code == LOG_UNAVAILABLE
        assert raised.value.next
        assert (log.head(), log.stream_version(A), log.streams("host/")) == (3, 2, [])
        assert (len(log.rows()), log.anchor()) == (3, before)
        change(filled, "DROP TRIGGER fails")
        stored = log.append(parts, append_id=append_id)
        assert [event.position for event in stored] == [4, 5]
        assert log.append(parts, append_id=append_id) == stored


@pytest.mark.parametrize("table", ["log_head", "streams"])
def test_a_row_that_does_not_move_ends_the_append(filled: Path, table: str) -> None:
    change(filled, f"CREATE TRIGGER stuck BEFORE UPDATE ON {table} BEGIN SELECT RAISE(IGNORE); END")
    log = SqliteEventLog(filled)
    with pytest.raises(RuntimeError, match="0 rows changed"):
        log.append([part(A)])
    assert len(log.read()) == log.head() == 3
    log.close()
