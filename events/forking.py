"""A new log that goes on where one that does not verify can be read.

Its first event says what it was forked from and why; after it comes every event of the former log that can
still be read, in order, with its id, time and actor. An event that is false is carried over like a true one
as long as it can be read: nobody can tell which half of a false log is the true one, and the first event says
where the trouble began. What cannot be read is left out and named.

The lineage stays, because containers and hosts know it; tokens and append ids stay as well, or a host would
take an older holder's word, and a repeated append would be written twice. The new file is made aside, in one
transaction, and is nobody's log until it is put in place.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, get_args

from events.appending import placed_event
from events.catalog import decode
from events.chain import genesis
from events.envelope import ActorKind, StoredEvent
from events.rows import row_of
from events.sqlite_file import SqliteFile
from events.sqlite_schema import event_log
from events.sqlite_tables import NEW_EVENT
from events.sqlite_tokens import put
from events.streams import LOG_STREAM

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from events.chain import Row
    from events.envelope import ProposedEvent
    from events.raw_log import RawLog

_HEAD_ID = "SELECT log_id FROM log_head"
_MOVE_HEAD = "UPDATE log_head SET position = :position, hash = :hash"
_NEW_STREAM = "INSERT INTO streams (stream_no, name, version) VALUES (?, ?, 1)"
_MOVE_STREAM = "UPDATE streams SET version = ? WHERE stream_no = ?"
_NEW_APPEND = (
    "INSERT INTO appends (append_id, fingerprint, first_position, last_position) VALUES (?, ?, ?, ?)"
)
_KINDS = frozenset(get_args(ActorKind))


@dataclass(slots=True)
class _Streams:
    """The numbers and versions of the new log's streams."""

    connection: sqlite3.Connection
    known: dict[str, list[int]] = field(default_factory=dict[str, list[int]])  # name: [number, version]

    def next(self, name: str) -> tuple[int, int]:
        """The number of a stream, and the version of its next event."""
        if name not in self.known:
            self.known[name] = [len(self.known) + 1, 0]
            self.connection.execute(_NEW_STREAM, (len(self.known), name))
        one = self.known[name]
        one[1] += 1
        return one[0], one[1]

    def finish(self) -> None:
        """Write the versions."""
        self.connection.executemany(
            _MOVE_STREAM, [(version, number) for number, version in self.known.values()]
        )


def fork(
    raw: RawLog,
    target: Path,
    *,
    lineage: str,
    upto: int,
    first: Callable[[int, tuple[int, ...]], ProposedEvent],
) -> tuple[int, tuple[int, ...]]:
    """Make the log at `target`, which must not be there; how many events came over, and which did not.

    `first` makes the first event from the same two. Raises OutsideError `log-unavailable`.
    """
    count, left = 0, list[int]()
    for row in raw.rows(after=0, upto=upto):
        if _event(row) is None:
            left.append(row[0])
        else:
            count += 1
    opening = first(count, tuple(left))
    file = SqliteFile(target, event_log(lineage=lineage))
    try:
        with file.writing() as connection:
            read = (_event(row) for row in raw.rows(after=0, upto=upto))
            _write(connection, chain((opening,), (event for event in read if event is not None)), lineage)
            _carry_tokens(raw, connection)
            _carry_appends(raw, connection, left)
    finally:
        file.close()
    return count, tuple(left)


def _write(
    connection: sqlite3.Connection, events: Iterator[ProposedEvent | StoredEvent], lineage: str
) -> None:
    """Number and chain the events, from the first position on."""
    streams = _Streams(connection)
    log_id: str = connection.execute(_HEAD_ID).fetchone()[0]
    previous, position = genesis(log_id=log_id, lineage=lineage), 0
    for position, event in enumerate(events, start=1):
        stream = event.stream if isinstance(event, StoredEvent) else LOG_STREAM
        number, version = streams.next(stream)
        row = row_of(
            placed_event(event, stream=stream, position=position, version=version), previous=previous
        )
        connection.execute(NEW_EVENT, (row.position, row.event_id, number, *row[3:]))
        previous = row.hash or b""
    streams.finish()
    connection.execute(_MOVE_HEAD, {"position": position, "hash": previous})


def _event(row: Row) -> StoredEvent | None:
    """The event of a row; None when it is none any more.

    One of a type that is not known here is kept as long as its data are a JSON object.
    """
    position, event_id, stream, version, type_name, schema, at_us, actor, correlation, causation, data = row[
        :11
    ]
    try:
        name, kind, person = stream.decode(), type_name.decode(), actor.decode()
        raw = (position, event_id, name, version, kind, schema, at_us, person, correlation, causation, data)
        event = StoredEvent._make(raw)
        whole = name and event.actor.kind in _KINDS and isinstance(json.loads(data), dict)
        _ = event.id, event.time, event.correlation, event.causation
        decode(event)
    except (ValueError, OverflowError, RecursionError):  # ValueError: pydantic's too
        return None
    return event if whole else None


def _carry_tokens(raw: RawLog, connection: sqlite3.Connection) -> None:
    """The same tokens are the newest: a host's fence knows them."""
    for name, number in raw.tokens():
        put(connection, name, number)


def _carry_appends(raw: RawLog, connection: sqlite3.Connection, left: Sequence[int]) -> None:
    """Append ids of events that all came over answer the places that these have now."""
    for append_id, mark, begin, end in raw.appends():
        before, through = bisect_left(left, begin), bisect_right(left, end)
        if before == through:
            moved = 1 - before
            connection.execute(_NEW_APPEND, (append_id, mark, begin + moved, end + moved))
