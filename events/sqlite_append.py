"""What one transaction of the log writes: any number of appends, each of them whole or not at all.

Nothing is built on an end that does not fit (`events/sqlite_end.py`), and the next transaction is told the
end that this one leaves.

What all appends of the transaction have to know of the file is asked for at once, and what they add is
written at the end, kind by kind: with statements for each append a batch took a sixth longer. Between the two
each append is checked against the file and against those before it, so that one which is refused has
written nothing and takes no other with it. Nothing is ignored: every conflict is an error, every changed row
is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from events.appending import check_expectation, fingerprint, placed
from events.envelope import StoredEvent
from events.log import AppendIdReusedError, EventIdReusedError
from events.rows import digests_of
from events.sqlite_end import End, end_of
from events.sqlite_tables import NEW_EVENT
from events.sqlite_tokens import newest
from events.tokens import refuse_stale

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from uuid import UUID

    from events.log import StreamAppend
    from events.streams import StreamName

_MOVE_HEAD = "UPDATE log_head SET position = :new, hash = :hash WHERE position = :old"
_STREAMS = "SELECT name, stream_no, version FROM streams WHERE name IN ({})"
_NEW_STREAM = "INSERT INTO streams (name, version) VALUES (:name, :version) RETURNING stream_no"
_MOVE_STREAM = "UPDATE streams SET version = ? WHERE stream_no = ? AND version = ?"
_KNOWN_EVENTS = "SELECT event_id FROM events WHERE event_id IN ({})"
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
_AT_ONCE = 500  # values that one statement asks for


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One append, as its caller asked for it."""

    parts: Sequence[StreamAppend]
    append_id: UUID | None
    vital: bool  # may take the room that is kept for a full disk


class Writing:
    """A transaction that appends `requests`, made after its BEGIN.

    Each of them is given to `append`, in their order, then `finish` writes them; COMMIT comes after that.
    """

    def __init__(
        self, connection: sqlite3.Connection, requests: Sequence[Request], *, last: End | None, file: str
    ) -> None:
        """`last` is the end that the last transaction left, if that was committed.

        Raises LogBrokenError when nothing may be appended.
        """
        self._connection = connection
        self._end = end_of(connection, last, file=file)
        self._hash = self._end.hash
        parts = [part for request in requests for part in request.parts]
        self._found = _streams(connection, parts, known=self._end.streams)
        self._versions = {name: version for name, (_, version) in self._found.items()}
        self._event_ids = _known_events(connection, parts)
        self._stored: list[StoredEvent] = []
        self._appends: dict[UUID, tuple[bytes, tuple[StoredEvent, ...]]] = {}

    def append(self, request: Request) -> tuple[StoredEvent, ...]:
        """Number the events of all parts, or answer what the append of this id stored before.

        Raises VersionConflictError, LockLostError, AppendIdReusedError and EventIdReusedError, having
        changed nothing.
        """
        append_id, mark = request.append_id, b""
        if append_id is not None:
            mark = fingerprint(request.parts)
            if known := self._answer(append_id, mark):
                return known
        for part in request.parts:
            self._check(part)
        stored = tuple([event for part in request.parts for event in self._placed(part)])
        if append_id is not None:
            self._appends[append_id] = mark, stored
        return stored

    def _answer(self, append_id: UUID, mark: bytes) -> tuple[StoredEvent, ...]:
        """What the append of this id stored, nothing when it is new. Raises AppendIdReusedError."""
        known, stored = self._appends.get(append_id) or _append_of(self._connection, append_id)
        if known and known != mark:
            raise AppendIdReusedError(append_id)
        return stored

    def _check(self, part: StreamAppend) -> None:
        """Raise an error unless everything holds that the part expects."""
        if part.token is not None:
            refuse_stale(part.token, newest(self._connection, part.token.name))
        check_expectation(part, self._versions.get(part.stream, 0))
        for event in part.events:
            if event.id.bytes in self._event_ids:
                raise EventIdReusedError(event.id)

    def _placed(self, part: StreamAppend) -> list[StoredEvent]:
        """The events of the part in their places, which nobody else gets from here on."""
        version = self._versions.get(part.stream, 0)
        events = placed(part, position=self._end.position + len(self._stored), version=version)
        self._versions[part.stream] = version + len(events)
        self._stored += events
        self._event_ids.update([event.event_id for event in events])
        return events

    def finish(self) -> End:
        """Write what was appended, and move the head to the newest row; answers the end after a COMMIT."""
        if not self._stored:
            return self._end
        connection = self._connection
        numbers = self._move_streams()
        connection.executemany(NEW_EVENT, [self._chained(event, numbers) for event in self._stored])
        if self._appends:
            connection.executemany(_NEW_APPEND, self._appended())
        newest_position = self._stored[-1].position
        values = {"old": self._end.position, "new": newest_position, "hash": self._hash}
        _changed(connection.execute(_MOVE_HEAD, values), rows=1)
        return End(
            position=newest_position,
            hash=self._hash,
            streams={name: (numbers[name], version) for name, version in self._versions.items()},
            moment=(self._end.moment[0], connection.total_changes),
        )

    def _appended(self) -> Iterator[tuple[bytes, bytes, int, int]]:
        """The values of `_NEW_APPEND` for those who named theirs."""
        for append_id, (mark, stored) in self._appends.items():
            yield append_id.bytes, mark, stored[0].position, stored[-1].position

    def _move_streams(self) -> dict[StreamName, int]:
        """Bring the streams to their versions, make those that are new, and answer their numbers."""
        numbers: dict[StreamName, int] = {}
        moves: list[tuple[int, int, int]] = []
        for name, version in self._versions.items():
            if name not in self._found:
                made = self._connection.execute(_NEW_STREAM, {"name": name, "version": version})
                numbers[name] = made.fetchone()[0]
                continue
            numbers[name], old = self._found[name]
            if version > old:
                moves.append((version, numbers[name], old))
        _changed(self._connection.executemany(_MOVE_STREAM, moves), rows=len(moves))
        return numbers

    def _chained(self, event: StoredEvent, numbers: Mapping[StreamName, int]) -> tuple[object, ...]:
        """The values of `NEW_EVENT`, chained to the row before."""
        position, event_id, stream, *others = event
        digests = digests_of(event, self._hash)
        self._hash = digests.hash
        return (position, event_id, numbers[stream], *others, *digests)


def _streams(
    connection: sqlite3.Connection,
    parts: Sequence[StreamAppend],
    *,
    known: Mapping[StreamName, tuple[int, int]],
) -> dict[StreamName, tuple[int, int]]:
    """Number and version of each stream of the parts that the file has; of those `known` without asking."""
    names = {part.stream for part in parts}
    streams = {name: known[name] for name in names if name in known}
    for name, number, version in _look_up(connection, _STREAMS, list(names - streams.keys())):
        streams[name] = number, version
    return streams


def _known_events(connection: sqlite3.Connection, parts: Sequence[StreamAppend]) -> set[bytes]:
    """Which event ids of the parts stand in the file."""
    ids = [event.id.bytes for part in parts for event in part.events]
    return {event_id for (event_id,) in _look_up(connection, _KNOWN_EVENTS, ids)}


def _look_up(connection: sqlite3.Connection, query: str, values: Sequence[object]) -> list[Any]:
    """The rows of a query about any number of values."""
    found: list[Any] = []
    for first in range(0, len(values), _AT_ONCE):
        some = values[first : first + _AT_ONCE]
        found += connection.execute(query.format(", ".join("?" * len(some))), some)
    return found


def _append_of(connection: sqlite3.Connection, append_id: UUID) -> tuple[bytes, tuple[StoredEvent, ...]]:
    """Fingerprint and events of the append of this id, nothing when the file does not know it."""
    found = connection.execute(_KNOWN_APPEND, (append_id.bytes,)).fetchone()
    if found is None:
        return b"", ()
    mark, *places = found
    return mark, tuple(map(StoredEvent._make, connection.execute(_BETWEEN, places)))


def _changed(cursor: sqlite3.Cursor, *, rows: int) -> None:
    """Raise RuntimeError, which rolls back, unless the statement changed exactly so many rows."""
    if cursor.rowcount != rows:
        raise RuntimeError(f"{cursor.rowcount} rows changed instead of {rows}: the write lock does not hold")
