"""The tables of `events.db`, version 1.

`log_head` is the counter of positions. A bare rowid would not do: SQLite gives the number of a deleted last
row out again. Events name their stream by an integer, which makes rows and the index smaller. Times are
microseconds since 1970, ids are their 16 bytes, data are the bytes that were proposed.

Events are never changed: triggers refuse UPDATE and DELETE, and an INSERT that would leave a gap or
replace a row. New columns may come at the end of `events` (`ALTER TABLE ADD COLUMN`, a higher
`user_version`); statements name the columns they mean.
"""

from __future__ import annotations

from events.log import LOG_TOO_NEW, LOG_UNAVAILABLE
from events.sqlite_file import FileKind
from events.sqlite_query import EVENTS_BY_FACTS

_LOG_HEAD = """
CREATE TABLE log_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    log_id TEXT NOT NULL,    -- this log
    lineage TEXT NOT NULL,   -- the first log it descends from; equal to log_id in the first one
    position INTEGER NOT NULL CHECK (position >= 0)
) STRICT
"""
_FIRST_HEAD = """
INSERT INTO log_head (one, log_id, lineage, position)
SELECT 1, id, id, 0 FROM (SELECT lower(hex(randomblob(16))) AS id)
"""
_STREAMS = """
CREATE TABLE streams (
    stream_no INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL CHECK (version > 0)
) STRICT
"""
_EVENTS = """
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
"""
_APPENDS = """
CREATE TABLE appends (
    append_id BLOB PRIMARY KEY CHECK (length(append_id) = 16),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    first_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""
_GUARDS = (
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
)

EVENT_LOG = FileKind(
    noun="event log",
    application_id=0x5354_4C47,  # "STLG"
    version=1,
    tables=(_LOG_HEAD, _FIRST_HEAD, _STREAMS, _EVENTS, EVENTS_BY_FACTS, _APPENDS, *_GUARDS),
    journal="WAL",
    pragmas=(
        "cache_size = -65536",  # KiB; the default of 2 MiB costs 1.7 times the work on a log with two indexes
        "wal_autocheckpoint = 16000",  # pages
        "journal_size_limit = 67108864",  # bytes: the write-ahead log is cut back to this
    ),
    unavailable=LOG_UNAVAILABLE,
    too_new=LOG_TOO_NEW,
)
