"""What one transaction of the log writes: any number of appends, each of them whole or not at all.

The head is read once, under the write lock, and its end is looked at before anything is built on it: the
newest row must be the one that the head names, and its digests those of what it says. That costs two look-ups
and one hash, and means that no append ever covers up a cut or an edited end.

Each append is checked completely before its first row is written, so that one which is refused needs no
savepoint and takes no other with it. Nothing is ignored: every conflict is an error, every changed row is
counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from events.appending import check_expectation, fingerprint, placed
from events.broken import LogBrokenError, LogProblem
from events.chain import genesis
from events.envelope import StoredEvent
from events.log import AppendIdReusedError, EventIdReusedError, LogRow
from events.rows import fits, row_of
from events.sqlite_tables import NEW_EVENT
from events.sqlite_tokens import newest
from events.tokens import refuse_stale

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from uuid import UUID

    from events.log import StreamAppend

_HEAD = "SELECT log_id, lineage, position, hash, broken FROM log_head"
_MOVE_HEAD = "UPDATE log_head SET position = :new, hash = :hash WHERE position = :old"
_STREAM = "SELECT stream_no, version FROM streams WHERE name = ?"
_NEW_STREAM = "INSERT INTO streams (name, version) VALUES (:name, :version) RETURNING stream_no"
_MOVE_STREAM = "UPDATE streams SET version = :new WHERE stream_no = :stream_no AND version = :old"
_KNOWN_EVENT = "SELECT 1 FROM events WHERE event_id = ?"
_KNOWN_APPEND = "SELECT fingerprint, first_position, last_position FROM appends WHERE append_id = ?"
_NEW_APPEND = (
    "INSERT INTO appends (append_id, fingerprint, first_position, last_position) VALUES (?, ?, ?, ?)"
)
_BETWEEN = """
SELECT e.position, e.event_id, s.name, e.version, e.type, e.schema, e.at_us, e.actor, e.correlation,
       e.causation, e.data
FROM events AS e CROSS JOIN streams AS s USING (stream_no)
WHERE e.position BETWEEN ? AND ? ORDER BY e.position
"""
# The newest row, whatever its number; a row without its stream shows no name.
_END = """
SELECT e.position, e.event_id, coalesce(s.name, ''), e.version, e.type, e.schema, e.at_us, e.actor,
       e.correlation, e.causation, e.data, e.data_hash, e.leaf, e.hash
FROM events AS e LEFT JOIN streams AS s USING (stream_no) ORDER BY e.position DESC LIMIT 1
"""
_HASH = "SELECT hash FROM events WHERE position = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One append, as its caller asked for it."""

    parts: Sequence[StreamAppend]
    append_id: UUID | None
    vital: bool  # may take the room that is kept for a full disk


class Writing:
    """A transaction that appends; made after its BEGIN, and `finish`ed before its COMMIT."""

    def __init__(self, connection: sqlite3.Connection, *, file: str) -> None:
        """Raises LogBrokenError when nothing may be appended."""
        self._connection = connection
        log_id, lineage, position, head_hash, broken = connection.execute(_HEAD).fetchone()
        if broken is not None:
            raise LogBrokenError(LogProblem.from_json(broken), file=file)
        first = genesis(log_id=log_id, lineage=lineage)
        problem = _problem_at_the_end(connection, position=position, head_hash=head_hash, first=first)
        if problem is not None:
            raise LogBrokenError(problem, file=file)
        self._old: int = position
        self._position: int = position
        self._hash: bytes = head_hash

    def append(self, request: Request) -> tuple[StoredEvent, ...]:
        """Number, chain and insert all parts, or answer what the append of this id stored before.

        Raises VersionConflictError, LockLostError, AppendIdReusedError and EventIdReusedError, having
        written nothing.
        """
        connection, append_id, mark = self._connection, request.append_id, b""
        if append_id is not None:
            mark = fingerprint(request.parts)
            if known := _answer(connection, append_id, mark):
                return known
        planned = [self._checked(part) for part in request.parts]
        stored: list[StoredEvent] = []
        for part, (stream_no, version) in zip(request.parts, planned, strict=True):
            events = placed(part, position=self._position, version=version)
            number = _moved(connection, part.stream, stream_no, old=version, new=version + len(events))
            connection.executemany(NEW_EVENT, [self._chained(event, number) for event in events])
            stored += events
        if append_id is not None:
            places = stored[0].position, stored[-1].position
            connection.execute(_NEW_APPEND, (append_id.bytes, mark, *places))
        return tuple(stored)

    def _checked(self, part: StreamAppend) -> tuple[int | None, int]:
        """Number and version of the part's stream, once everything that it expects holds."""
        connection = self._connection
        if part.token is not None:
            refuse_stale(part.token, newest(connection, part.token.name))
        found: tuple[int, int] | None = connection.execute(_STREAM, (part.stream,)).fetchone()
        stream_no, version = found or (None, 0)
        check_expectation(part, version)
        for event in part.events:
            if connection.execute(_KNOWN_EVENT, (event.id.bytes,)).fetchone():
                raise EventIdReusedError(event.id)
        return stream_no, version

    def _chained(self, event: StoredEvent, stream_no: int) -> tuple[object, ...]:
        """The values of `NEW_EVENT`, chained to the row before."""
        row = row_of(event, previous=self._hash)
        self._position, self._hash = row.position, cast("bytes", row.hash)
        return (row.position, row.event_id, stream_no, *row[3:])

    def finish(self) -> None:
        """Move the head to the newest row."""
        if self._position > self._old:
            values = {"old": self._old, "new": self._position, "hash": self._hash}
            _changed_one(self._connection.execute(_MOVE_HEAD, values))


def _problem_at_the_end(
    connection: sqlite3.Connection, *, position: int, head_hash: bytes, first: bytes
) -> LogProblem | None:
    """What is wrong between the head and the newest row, None: they belong together."""
    found = connection.execute(_END).fetchone()
    newest_position: int = 0 if found is None else found[0]
    if newest_position < position:
        detail = f"the head says {position} events, the newest that is there is {newest_position}"
        return LogProblem(
            position=newest_position + 1, kind="tail" if newest_position else "all", detail=detail
        )
    if newest_position > position:
        detail = f"the head knows nothing of events after {position}"
        return LogProblem(position=position + 1, kind="rewrite", detail=detail)
    if (first if found is None else found[-1]) != head_hash:
        detail = "the newest event is not the one that the head names"
        return LogProblem(position=max(position, 1), kind="rewrite", detail=detail)
    before = connection.execute(_HASH, (position - 1,)).fetchone()
    if found is not None and not fits(LogRow._make(found), previous=before[0] if before else first):
        detail = "the newest event does not say what was hashed"
        return LogProblem(position=position, kind="edit", detail=detail)
    return None


def _answer(connection: sqlite3.Connection, append_id: UUID, mark: bytes) -> tuple[StoredEvent, ...]:
    """What the append of this id stored, nothing when it is new. Raises AppendIdReusedError."""
    row = connection.execute(_KNOWN_APPEND, (append_id.bytes,)).fetchone()
    if row is None:
        return ()
    known, first, last = row
    if known != mark:
        raise AppendIdReusedError(append_id)
    return tuple(map(StoredEvent._make, connection.execute(_BETWEEN, (first, last))))


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
