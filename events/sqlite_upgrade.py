"""From version 1 of `events.db` to the present one.

Version 1 had no digests and an actor in two columns. Opened for writing, such a file gets the present tables
in one transaction and its chain from the first event on: it proves what the events were at that moment, and
nothing about the time before. A file that can only be read stays as it is; views that live in the
connection alone show it with the present columns, so that whoever reads needs one set of statements.

An upgrade needs room for the file a second time. The rows were not changed in place, because nothing ever
updates an event, and a trigger that can be lifted "only for this" would be lifted again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.envelope import StoredEvent
from events.kernel.errors import OutsideError
from events.log import LOG_UNAVAILABLE
from events.sqlite_file import Older
from events.sqlite_query import EVENTS_BY_FACTS
from events.sqlite_tables import EVENTS, GUARDS, LOG_HEAD, NEW_EVENT
from events.sqlite_views import VIEWS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator

_OLD_ROWS = """
SELECT e.stream_no, e.position, e.event_id, s.name, e.version, e.type, e.schema, e.at_us,
       e.actor_kind || ':' || e.actor_id, e.correlation, e.causation, e.data
FROM events_1 AS e CROSS JOIN streams AS s USING (stream_no) ORDER BY e.position
"""
_OLD_COUNT = "SELECT count(*) FROM events_1"
_NEW_COUNT = "SELECT count(*) FROM events"
_NEW_HEAD = """
INSERT INTO log_head (one, log_id, lineage, position, hash)
SELECT one, log_id, lineage, position, coalesce((SELECT hash FROM events WHERE position = h.position), ?)
FROM log_head_1 AS h
"""
_AS_EVENTS = """
CREATE TEMP VIEW events AS
SELECT position, event_id, stream_no, version, type, schema, at_us, actor_kind || ':' || actor_id AS actor,
       correlation, causation, data, NULL AS data_hash, NULL AS leaf, NULL AS hash
FROM main.events
"""
_AS_HEAD = """
CREATE TEMP VIEW log_head AS
SELECT one, log_id, lineage, position, NULL AS hash, NULL AS broken FROM main.log_head
"""


def _upgrade(connection: sqlite3.Connection) -> None:
    """Give every event its digests, in the caller's transaction. Raises OutsideError `log-unavailable`."""
    from events.chain import genesis  # noqa: PLC0415  # a file is upgraded once, and most commands only read

    connection.execute("ALTER TABLE events RENAME TO events_1")
    connection.execute("ALTER TABLE log_head RENAME TO log_head_1")
    connection.execute(EVENTS)
    connection.execute(LOG_HEAD)
    log_id, lineage = connection.execute("SELECT log_id, lineage FROM log_head_1").fetchone()
    first = genesis(log_id=log_id, lineage=lineage)
    connection.executemany(NEW_EVENT, _rows(connection, first))
    if connection.execute(_OLD_COUNT).fetchone() != connection.execute(_NEW_COUNT).fetchone():
        raise OutsideError(
            LOG_UNAVAILABLE,
            "the event log of an older Stagecraft is damaged and stays as it is",
            why="it has events whose stream is missing",
            next="keep the file aside as it is, and put a backup in its place",
        )
    connection.execute(_NEW_HEAD, (first,))
    connection.execute("DROP TABLE events_1")
    connection.execute("DROP TABLE log_head_1")
    for statement in (EVENTS_BY_FACTS, *GUARDS, *VIEWS):
        connection.execute(statement)


def _rows(connection: sqlite3.Connection, first: bytes) -> Generator[tuple[object, ...]]:
    """The present rows of the older table, one at a time: a log may be larger than the memory."""
    from events.rows import digests_of  # noqa: PLC0415  # as above

    previous = first
    for stream_no, *columns in connection.execute(_OLD_ROWS):
        event = StoredEvent._make(columns)
        digests = digests_of(event, previous)
        previous = digests.hash
        yield (event.position, event.event_id, stream_no, *event[3:], *digests)


FROM_1 = Older(upgrade=_upgrade, shown=(_AS_EVENTS, _AS_HEAD))
