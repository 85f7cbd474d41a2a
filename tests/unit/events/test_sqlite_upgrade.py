"""A file of version 1 gets its chain, whole or not at all, and can be read where it cannot be written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from events.envelope import Actor, StoredEvent
from events.kernel.errors import OutsideError
from events.log import LOG_UNAVAILABLE, AppendIdReusedError
from events.rows import fits
from events.sqlite import SqliteEventLog
from events.sqlite_file import SqliteFile
from events.sqlite_schema import EVENT_LOG
from events.streams import StreamName
from tests.contract.event_log import part
from tests.support.disks import Disk, mounted

HEAD = ("a" * 32, "b" * 32)
SHOP, LOCAL = StreamName("environment/shop/prod"), StreamName("host/local")
EVENTS = 2500
APPEND_ID = UUID(int=7)
VERSION_1 = (
    """
    CREATE TABLE log_head (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        log_id TEXT NOT NULL,
        lineage TEXT NOT NULL,
        position INTEGER NOT NULL CHECK (position >= 0)
    ) STRICT
    """,
    """
    CREATE TABLE streams (
        stream_no INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        version INTEGER NOT NULL CHECK (version > 0)
    ) STRICT
    """,
    """
    CREATE TABLE events (
        position INTEGER PRIMARY KEY CHECK (position > 0),
        event_id BLOB NOT NULL UNIQUE CHECK (length(event_id) = 16),
        stream_no INTEGER NOT NULL REFERENCES streams (stream_no),
        version INTEGER NOT NULL CHECK (version > 0),
        type TEXT NOT NULL,
        schema INTEGER NOT NULL,
        at_us INTEGER NOT NULL,
        actor_kind TEXT NOT NULL,
        actor_id TEXT NOT NULL,
        correlation BLOB NOT NULL CHECK (length(correlation) = 16),
        causation BLOB CHECK (length(causation) = 16),
        data BLOB NOT NULL,
        UNIQUE (stream_no, version)
    ) STRICT
    """,
    """
    CREATE TABLE appends (
        append_id BLOB PRIMARY KEY CHECK (length(append_id) = 16),
        fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
        first_position INTEGER NOT NULL,
        last_position INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TRIGGER events_are_not_updated BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never updated'); END
    """,
    """
    CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END
    """,
    """
    CREATE TRIGGER events_are_dense BEFORE INSERT ON events
    WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)
    BEGIN SELECT RAISE(ABORT, 'an event stands right after the one before'); END
    """,
    "CREATE TABLE tokens (name TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "INSERT INTO tokens VALUES ('shop/prod', 4)",
    "PRAGMA application_id = 0x53544C47",
    "PRAGMA user_version = 1",
)


def write_version_1(path: Path, *, events: int = EVENTS) -> None:
    """The file that a Stagecraft of that time left behind, by its own statements."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        for statement in VERSION_1:
            connection.execute(statement)
        connection.execute("BEGIN")
        connection.execute("INSERT INTO log_head VALUES (1, ?, ?, ?)", (*HEAD, events))
        for number, name in enumerate((SHOP, LOCAL), start=1):
            if versions := (events + 2 - number) // 2:
                connection.execute("INSERT INTO streams VALUES (?, ?, ?)", (number, name, versions))
        connection.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, 'Tested', 1, ?, ?, ?, ?, ?, ?)",
            [
                (
                    position,
                    UUID(int=position).bytes,
                    2 - position % 2,
                    (position + 1) // 2,
                    position * 1_000_000,
                    *(("cli", "act-1") if position % 2 else ("controller", "controller")),
                    UUID(int=9).bytes,
                    UUID(int=8).bytes if position % 3 else None,
                    b"%d" % position,
                )
                for position in range(1, events + 1)
            ],
        )
        connection.execute("INSERT INTO appends VALUES (?, ?, 1, 2)", (APPEND_ID.bytes, bytes(32)))
        connection.execute("COMMIT")


def expected(position: int) -> StoredEvent:
    return StoredEvent(
        position=position,
        stream=SHOP if position % 2 else LOCAL,
        version=(position + 1) // 2,
        id=UUID(int=position),
        type="Tested",
        schema=1,
        time=datetime.fromtimestamp(position, UTC),
        actor=Actor(kind="cli", id="act-1") if position % 2 else Actor(kind="controller", id="controller"),
        correlation=UUID(int=9),
        causation=UUID(int=8) if position % 3 else None,
        data=b"%d" % position,
    )


def check_version_1_is_untouched(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(actor_kind) FROM events").fetchone() == (EVENTS,)
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        assert "events_1" not in names
        assert "events_are_not_updated" in names


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", size_bytes=4 * 2**20) as made:
        yield made


def test_everything_of_an_older_log_is_kept_and_gets_a_chain(path: Path) -> None:
    write_version_1(path)
    with closing(SqliteEventLog(path)) as log:
        assert log.read() == [expected(position) for position in range(1, EVENTS + 1)]
        assert (log.head(), log.stream_version(SHOP), log.newest_token("shop/prod")) == (EVENTS, 1250, 4)
        start, end = log.anchor(0), log.anchor()
        assert (start.log_id, start.lineage) == HEAD
        previous = start.hash
        for row in log.rows():
            assert fits(row, previous=previous)
            assert row.hash is not None
            previous = row.hash
        assert end.hash == previous
        with pytest.raises(AppendIdReusedError):
            log.append([part(SHOP)], append_id=APPEND_ID)
        (stored,) = log.append([part(SHOP, expected=1250)])
        assert stored.position == EVENTS + 1
    with closing(SqliteEventLog(path)) as again:
        assert again.anchor(EVENTS) == end


def test_an_upgraded_file_has_the_tables_of_a_new_one(path: Path, tmp_path: Path) -> None:
    def statements(file: Path) -> set[tuple[str, str]]:
        with closing(sqlite3.connect(file)) as connection:
            found = connection.execute("SELECT name, sql FROM sqlite_master WHERE name != 'tokens'")
            return {(name, " ".join(str(sql).replace('"', "").split())) for name, sql in found}

    write_version_1(path)
    SqliteEventLog(path).close()
    SqliteEventLog(tmp_path / "new.db").close()
    assert statements(path) == statements(tmp_path / "new.db")


def test_an_empty_older_log_is_upgraded(path: Path) -> None:
    write_version_1(path, events=0)
    with closing(SqliteEventLog(path)) as log:
        assert log.anchor().position == 0
        log.append([part(SHOP)])


def test_openers_that_meet_at_an_older_log_upgrade_it_once(path: Path) -> None:
    write_version_1(path)
    with closing(SqliteEventLog(path)) as one, closing(SqliteEventLog(path)) as other:
        assert one.anchor() == other.anchor()
        other.append([part(SHOP)])
        assert one.head() == EVENTS + 1


def test_an_upgrade_that_fails_leaves_the_older_log(path: Path) -> None:
    write_version_1(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("DELETE FROM streams WHERE stream_no = 2")
    with pytest.raises(OutsideError, match="damaged and stays as it is"):
        SqliteEventLog(path)
    check_version_1_is_untouched(path)


def test_an_older_log_that_can_only_be_read_is_read_and_nothing_else(path: Path) -> None:
    write_version_1(path)
    with closing(sqlite3.connect(path)) as connection:  # leave no write-ahead log behind
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before = path.read_bytes()
    file = SqliteFile(path, EVENT_LOG, only_read=True)
    with file.reading() as connection:
        assert connection.execute("SELECT actor, hash FROM events WHERE position = 1").fetchone() == (
            "cli:act-1",
            None,
        )
    file.close()
    assert path.read_bytes() == before


def test_an_older_log_on_a_full_disk_is_read_and_says_that_it_has_no_chain(disk: Disk) -> None:
    path = disk.folder / "events.db"
    write_version_1(path)
    disk.fill()
    with closing(SqliteEventLog(path)) as log:
        assert log.read(limit=3) == [expected(position) for position in (1, 2, 3)]
        assert (log.head(), log.problem(), log.rows(limit=1)[0].hash) == (EVENTS, None, None)
        with pytest.raises(OutsideError, match="has no chain yet") as raised:
            log.anchor()
        assert raised.value.code == LOG_UNAVAILABLE
        with pytest.raises(OutsideError, match="log-unavailable"):
            log.append([part(SHOP)])
    disk.make_room()
    check_version_1_is_untouched(path)
    with closing(SqliteEventLog(path)) as log:
        assert log.anchor().position == EVENTS
