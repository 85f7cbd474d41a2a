"""The tables of `events.db`, version 2, and what keeps them as they are.

`log_head` is the counter of positions. A bare rowid would not do: SQLite gives the number of a deleted last
row out again. Events name their stream by an integer, which makes rows and the index smaller. Times are
microseconds since 1970, ids are their 16 bytes, data are the bytes that were proposed. The digests of each
row stand beside it (`events/chain.py`), and the newest hash in the head.

Events are never changed: triggers refuse UPDATE and DELETE, and an INSERT that would leave a gap or
replace a row. New columns may come at the end of `events` (`ALTER TABLE ADD COLUMN`, a higher
`user_version`); statements name the columns they mean.
"""

from __future__ import annotations

LOG_HEAD = """
CREATE TABLE log_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    log_id TEXT NOT NULL,    -- this log
    lineage TEXT NOT NULL,   -- the first log it descends from; equal to log_id in the first one
    position INTEGER NOT NULL CHECK (position >= 0),
    hash BLOB NOT NULL CHECK (length(hash) = 32),  -- of the newest event; the genesis of an empty log
    broken TEXT              -- the problem as JSON; NULL: none was found
) STRICT
"""
FIRST_HEAD = """
INSERT INTO log_head (one, log_id, lineage, position, hash) VALUES (1, :log_id, :lineage, 0, :hash)
"""
STREAMS = """
CREATE TABLE streams (
    stream_no INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL CHECK (version > 0)
) STRICT
"""
EVENTS = """
CREATE TABLE events (
    position INTEGER PRIMARY KEY CHECK (position > 0),
    event_id BLOB NOT NULL UNIQUE CHECK (length(event_id) = 16),
    stream_no INTEGER NOT NULL REFERENCES streams (stream_no),
    version INTEGER NOT NULL CHECK (version > 0),
    type TEXT NOT NULL,
    schema INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    actor TEXT NOT NULL,     -- kind:id
    correlation BLOB NOT NULL CHECK (length(correlation) = 16),
    causation BLOB CHECK (length(causation) = 16),
    data BLOB NOT NULL,
    data_hash BLOB NOT NULL CHECK (length(data_hash) = 32),
    leaf BLOB NOT NULL CHECK (length(leaf) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    UNIQUE (stream_no, version)
) STRICT
"""
NEW_EVENT = """
INSERT INTO events (position, event_id, stream_no, version, type, schema, at_us, actor, correlation,
                    causation, data, data_hash, leaf, hash)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
APPENDS = """
CREATE TABLE appends (
    append_id BLOB PRIMARY KEY CHECK (length(append_id) = 16),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    first_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""
GUARDS = (
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
