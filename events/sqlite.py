"""The log in a SQLite file: durable on return, shared by threads and processes.

Rule: a position is read from `log_head` and given back to it inside one `BEGIN IMMEDIATE` transaction. The
write lock is held from the numbering to the commit, so the order of positions is the order of commits, and
whoever reads `position > checkpoint` can never skip an event that commits later. A sequence outside the
lock would lose events for followers.

Nothing is ignored: every conflict is an error, every changed row is counted.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from events.appending import check_expectation, check_limit, check_shape, fingerprint, placed
from events.envelope import Actor, StoredEvent
from events.kernel.errors import OutsideError, Where
from events.log import LOG_UNAVAILABLE, AppendIdReusedError, EventIdReusedError
from events.reserve import is_vital
from events.sqlite_file import SqliteFile, disk_is_full
from events.sqlite_query import direction, position_at, positions
from events.sqlite_schema import EVENT_LOG
from events.sqlite_tokens import draw, newest
from events.tokens import refuse_stale

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from events.log import StreamAppend
    from events.query import EventQuery
    from events.reserve import Reserve
    from events.streams import StreamName
    from events.tokens import Token

T = TypeVar("T")

POLL_SECONDS = 0.05  # how late a waiter sees what another process appended; one look costs microseconds

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_HEAD = "SELECT position FROM log_head"
_LINEAGE = "SELECT lineage FROM log_head"
_MOVE_HEAD = "UPDATE log_head SET position = :new WHERE position = :old"
_STREAM = "SELECT stream_no, version FROM streams WHERE name = ?"
_NEW_STREAM = "INSERT INTO streams (name, version) VALUES (:name, :version) RETURNING stream_no"
_MOVE_STREAM = "UPDATE streams SET version = :new WHERE stream_no = :stream_no AND version = :old"
_STREAM_NAMES = "SELECT name FROM streams WHERE substr(name, 1, length(:prefix)) = :prefix ORDER BY name"
_KNOWN_EVENT = "SELECT 1 FROM events WHERE event_id = ?"
_NEW_EVENT = """
INSERT INTO events (position, event_id, stream_no, version, type, schema, at_us,
                    actor_kind, actor_id, correlation, causation, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_KNOWN_APPEND = "SELECT fingerprint, first_position, last_position FROM appends WHERE append_id = ?"
_NEW_APPEND = (
    "INSERT INTO appends (append_id, fingerprint, first_position, last_position) VALUES (?, ?, ?, ?)"
)
# CROSS JOIN keeps SQLite from walking the streams first; a LIMIT of -1 is none.
_READ = """
SELECT e.position, e.event_id, s.name, e.version, e.type, e.schema, e.at_us,
       e.actor_kind, e.actor_id, e.correlation, e.causation, e.data
FROM events AS e CROSS JOIN streams AS s USING (stream_no)
WHERE e.position > :after AND (:type IS NULL OR e.type = :type)
ORDER BY e.position LIMIT :limit
"""
# Within a stream versions are in the order of positions, so its index serves both.
_READ_STREAM = """
SELECT e.position, e.event_id, s.name, e.version, e.type, e.schema, e.at_us,
       e.actor_kind, e.actor_id, e.correlation, e.causation, e.data
FROM streams AS s CROSS JOIN events AS e USING (stream_no)
WHERE s.name = :stream AND e.version > :after_version AND e.position > :after
      AND (:type IS NULL OR e.type = :type)
ORDER BY e.version LIMIT :limit
"""
_READ_THESE = """
SELECT e.position, e.event_id, s.name, e.version, e.type, e.schema, e.at_us,
       e.actor_kind, e.actor_id, e.correlation, e.causation, e.data
FROM ({}) AS wanted CROSS JOIN events AS e USING (position) CROSS JOIN streams AS s USING (stream_no)
ORDER BY e.position {}
"""


class SqliteEventLog:
    """An event log in the file at `path`, which is made when it is missing.

    Raises OutsideError `log-too-new` for the file of a newer Stagecraft and `log-unavailable` for a file
    that is not ours or cannot be used. With a `reserve` what must not be lost is written on a full disk too.
    """

    def __init__(self, path: Path, *, reserve: Reserve | None = None) -> None:
        self._path = path
        self._reserve = reserve
        self._file = self._opened_file()
        self._appended = threading.Condition()  # wakes waiters of this process before they poll
        with self._file.reading() as connection:
            self._lineage: str = connection.execute(_LINEAGE).fetchone()[0]

    def _opened_file(self) -> SqliteFile:
        """The file; on a full disk with a part of the reserve, and without one for reading."""
        try:
            return SqliteFile(self._path, EVENT_LOG)
        except OutsideError as error:
            if not disk_is_full(error, self._path):
                raise
            if self._reserve is None:
                return SqliteFile(self._path, EVENT_LOG, only_read=True)
            if not self._reserve.lend():
                raise
            return SqliteFile(self._path, EVENT_LOG)

    @property
    def lineage(self) -> str:
        """The id of the first log that this one descends from."""
        return self._lineage

    def append(
        self, parts: Sequence[StreamAppend], *, append_id: UUID | None = None
    ) -> tuple[StoredEvent, ...]:
        """Append all parts or none, durably; see `EventLog.append`."""
        check_shape(parts)
        vital = is_vital(event.type for part in parts for event in part.events)
        stored = self._with_room(lambda: self._append(parts, append_id), vital=vital)
        with self._appended:
            self._appended.notify_all()
        return stored

    def _append(self, parts: Sequence[StreamAppend], append_id: UUID | None) -> tuple[StoredEvent, ...]:
        mark = fingerprint(parts)
        with self._file.writing() as connection:
            if append_id is not None and (known := _answer(connection, append_id, mark)):
                return known
            stored = _write(connection, parts)
            if append_id is not None:
                places = stored[0].position, stored[-1].position
                connection.execute(_NEW_APPEND, (append_id.bytes, mark, *places))
        return stored

    def _with_room(self, write: Callable[[], T], *, vital: bool) -> T:
        """Write; on a full disk what is `vital` once more without the reserve, and nothing else."""
        reserve = self._reserve
        if reserve is None:
            return write()
        if not vital and not reserve.make():
            raise OutsideError(
                LOG_UNAVAILABLE,
                "the disk is full, so nothing new is begun",
                where=Where(file=str(self._path)),
                why=f"less than {reserve.needs_bytes // 2**20} MiB are free, and the reserve is broken into",
                next=f"make room on the disk of {self._path.parent}; `stagecraft rollback` works meanwhile",
            )
        try:
            return write()
        except OutsideError as error:
            if not vital or not disk_is_full(error, self._path) or not reserve.free():
                raise
        return write()

    def newest_token(self, name: str) -> int:
        """The number of the newest token, 0 when none was ever drawn."""
        with self._file.reading() as connection:
            return newest(connection, name)

    def draw_token(self, name: str, *, after: int, vital: bool = False) -> Token:
        """The token that follows `after`, durably; see `Tokens.draw_token`."""

        def write() -> Token:
            with self._file.writing() as connection:
                return draw(connection, name, after=after)

        return self._with_room(write, vital=vital)

    def head(self) -> int:
        """The position of the newest event, 0 for an empty log."""
        with self._file.reading() as connection:
            return _head(connection)

    def stream_version(self, stream: StreamName) -> int:
        """The version of the newest event of `stream`, 0 when it has none."""
        with self._file.reading() as connection:
            return _stream(connection, stream)[1]

    def read_stream(self, stream: StreamName, *, after_version: int = 0) -> list[StoredEvent]:
        """The events of one stream after a version, oldest first."""
        return self._read(_READ_STREAM, stream=stream, after_version=after_version)

    def read(
        self,
        *,
        after: int = 0,
        limit: int | None = None,
        stream: StreamName | None = None,
        type_name: str | None = None,
    ) -> list[StoredEvent]:
        """Events after a position, oldest first, optionally of one stream or one type."""
        check_limit(limit)
        query = _READ if stream is None else _READ_STREAM
        return self._read(query, after=after, limit=limit, stream=stream, type_name=type_name)

    def _read(
        self,
        query: str,
        *,
        after: int = 0,
        after_version: int = 0,
        limit: int | None = None,
        stream: StreamName | None = None,
        type_name: str | None = None,
    ) -> list[StoredEvent]:
        values = {
            "after": after,
            "after_version": after_version,
            "limit": -1 if limit is None else limit,
            "stream": stream,
            "type": type_name,
        }
        with self._file.reading() as connection:
            return _events(connection.execute(query, values))

    def select(self, query: EventQuery) -> list[StoredEvent]:
        """The events that `query` asks for, in its order."""
        check_limit(query.limit)
        with self._file.reading() as connection:
            wanted, values = positions(connection, query)
            return _events(connection.execute(_READ_THESE.format(wanted, direction(query)), values))

    def position_at(self, moment: datetime) -> int:
        """The position of the last event whose time is at or before `moment`."""
        with self._file.reading() as connection:
            return position_at(connection, (moment - _EPOCH) // _MICROSECOND)

    def streams(self, prefix: str = "") -> list[StreamName]:
        """The names of all streams that start with `prefix`, sorted."""
        with self._file.reading() as connection:
            return [name for (name,) in connection.execute(_STREAM_NAMES, {"prefix": prefix})]

    def wait_for(self, after: int, timeout_seconds: float) -> int:
        """The head, as soon as it is beyond `after` or when the time is over."""
        deadline = time.monotonic() + timeout_seconds
        with self._appended:
            while (head := self.head()) <= after and (left := deadline - time.monotonic()) > 0:
                self._appended.wait(min(left, POLL_SECONDS))
            return head

    def close(self) -> None:
        """Close the file; whoever waits is told within `POLL_SECONDS`."""
        self._file.close()


def _answer(connection: sqlite3.Connection, append_id: UUID, mark: bytes) -> tuple[StoredEvent, ...]:
    """What the append of this id stored, nothing when it is new. Raises AppendIdReusedError."""
    row = connection.execute(_KNOWN_APPEND, (append_id.bytes,)).fetchone()
    if row is None:
        return ()
    known, first, last = row
    if known != mark:
        raise AppendIdReusedError(append_id)
    values = {"after": first - 1, "limit": last - first + 1, "type": None}
    return tuple(_events(connection.execute(_READ, values)))


def _write(connection: sqlite3.Connection, parts: Sequence[StreamAppend]) -> tuple[StoredEvent, ...]:
    """Number and insert all parts. Raises VersionConflictError, LockLostError and EventIdReusedError."""
    head = _head(connection)
    stored: list[StoredEvent] = []
    for part in parts:
        if part.token is not None:
            refuse_stale(part.token, newest(connection, part.token.name))
        stream_no, version = _stream(connection, part.stream)
        check_expectation(part, version)
        events = placed(part, position=head + len(stored), version=version)
        stored += events
        for event in events:
            if connection.execute(_KNOWN_EVENT, (event.id.bytes,)).fetchone():
                raise EventIdReusedError(event.id)
        stream_no = _moved(connection, part.stream, stream_no, old=version, new=version + len(events))
        connection.executemany(_NEW_EVENT, [_row(event, stream_no) for event in events])
    _changed_one(connection.execute(_MOVE_HEAD, {"old": head, "new": head + len(stored)}))
    return tuple(stored)


def _head(connection: sqlite3.Connection) -> int:
    position: int = connection.execute(_HEAD).fetchone()[0]
    return position


def _stream(connection: sqlite3.Connection, name: str) -> tuple[int | None, int]:
    """Number and version of a stream, `(None, 0)` for one that has no events."""
    found: tuple[int, int] | None = connection.execute(_STREAM, (name,)).fetchone()
    return found or (None, 0)


def _moved(connection: sqlite3.Connection, name: str, stream_no: int | None, *, old: int, new: int) -> int:
    """Bring a stream to version `new`, make it when it has no number yet, and answer its number."""
    if stream_no is None:
        made: int = connection.execute(_NEW_STREAM, {"name": name, "version": new}).fetchone()[0]
        return made
    _changed_one(connection.execute(_MOVE_STREAM, {"stream_no": stream_no, "old": old, "new": new}))
    return stream_no


def _changed_one(cursor: sqlite3.Cursor) -> None:
    """Raise RuntimeError, which rolls back, unless the statement changed exactly one row."""
    if cursor.rowcount != 1:
        raise RuntimeError(f"{cursor.rowcount} rows changed instead of one: the write lock does not hold")


def _row(event: StoredEvent, stream_no: int) -> tuple[object, ...]:
    return (
        event.position,
        event.id.bytes,
        stream_no,
        event.version,
        event.type,
        event.schema,
        (event.time - _EPOCH) // _MICROSECOND,
        event.actor.kind,
        event.actor.id,
        event.correlation.bytes,
        None if event.causation is None else event.causation.bytes,
        event.data,
    )


def _events(rows: Iterable[tuple[Any, ...]]) -> list[StoredEvent]:
    """Rows of `_READ` as events."""
    return [
        StoredEvent(
            position=position,
            stream=cast("StreamName", stream),
            version=version,
            id=UUID(bytes=event_id),
            type=type_name,
            schema=schema,
            time=_EPOCH + timedelta(microseconds=at_us),
            actor=Actor(kind=actor_kind, id=actor_id),
            correlation=UUID(bytes=correlation),
            causation=None if causation is None else UUID(bytes=causation),
            data=data,
        )
        for (
            position,
            event_id,
            stream,
            version,
            type_name,
            schema,
            at_us,
            actor_kind,
            actor_id,
            correlation,
            causation,
            data,
        ) in rows
    ]
