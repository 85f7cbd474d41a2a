"""Questions about envelopes in SQL: which positions fit, found without reading a single payload.

Rows of `events` are wide, and to pass over a million of them to find the few of one type or person takes a
second. `EVENTS_BY_FACTS` is a narrow copy of what is asked for, in the order of positions: an append
touches its last page alone, and a look through all of it takes a tenth. Dropped: an index for each fact,
which answers faster and makes every append pay for four; and an index by type first, whose pages are in no
order of positions, so that every page of an answer would sort all the others.

Within a stream the stream's own index serves, and the rest is looked up in its rows. A file from before the
index is searched row by row.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from events.envelope import EPOCH, MICROSECOND, StoredEvent
from events.query import KINDS
from events.sqlite_read import COLUMNS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from datetime import datetime

    from events.query import ActorQuery, EventQuery

EVENTS_BY_FACTS = """
CREATE INDEX events_by_facts ON events (position, type, at_us, actor, correlation)
"""
_HAS_INDEX = "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = 'events_by_facts'"
_STREAM_NO = "(SELECT stream_no FROM streams WHERE name = :stream)"

Values = dict[str, object]


def position_at(connection: sqlite3.Connection, moment: datetime) -> int:
    """The last position whose time is at or before `moment`, 0 when there is none."""
    statement = (
        f"SELECT position FROM events {_hint(connection)} WHERE at_us <= ? ORDER BY position DESC LIMIT 1"  # noqa: S608  # the hint is ours
    )
    found = connection.execute(statement, ((moment - EPOCH) // MICROSECOND,)).fetchone()
    return 0 if found is None else int(found[0])


def select(connection: sqlite3.Connection, query: EventQuery) -> list[StoredEvent]:
    """The events that `query` asks for, in its order."""
    wanted, values = positions(connection, query)
    statement = (
        f"SELECT {COLUMNS} FROM ({wanted}) AS wanted CROSS JOIN events AS e USING (position)"  # noqa: S608  # our own words; what was asked for is bound
        f" CROSS JOIN streams AS s USING (stream_no) ORDER BY e.position {_direction(query)}"
    )
    return list(map(StoredEvent._make, connection.execute(statement, values)))


def positions(connection: sqlite3.Connection, query: EventQuery) -> tuple[str, Values]:
    """A statement for the positions of the events that `query` asks for, in its order, and its values."""
    values: Values = {"limit": -1 if query.limit is None else query.limit}
    conditions = " AND ".join(_conditions(query, values))
    hint, order = ("", "version") if query.stream else (_hint(connection), "position")
    statement = (
        f"SELECT position FROM events {hint} WHERE {conditions}"  # noqa: S608  # our own words; what was asked for is bound
        f" ORDER BY {order} {_direction(query)} LIMIT :limit"
    )
    return statement, values


def _direction(query: EventQuery) -> str:
    """The order of the answer as SQL has it."""
    return "DESC" if query.newest_first else "ASC"


def _hint(connection: sqlite3.Connection) -> str:
    """By name: no version of SQLite shall choose the wide rows, which are in the wanted order too."""
    return "INDEXED BY events_by_facts" if connection.execute(_HAS_INDEX).fetchone() else ""


def _conditions(query: EventQuery, values: Values) -> Iterable[str]:
    """What has to hold, each with its values; versions of a stream are in the order of positions."""
    values["after"] = query.after
    yield "position > :after"
    if query.upto is not None:
        values["upto"] = query.upto
        yield "position <= :upto"
    if query.positions is not None:
        values["positions"] = json.dumps(sorted(query.positions))  # one value, however many they are
        yield "position IN (SELECT value FROM json_each(:positions))"
    if query.stream is not None:
        values["stream"] = query.stream
        yield f"stream_no = {_STREAM_NO}"
    if query.types:
        yield f"type IN ({_bound('type', sorted(query.types), values)})"
    if query.actor is not None:
        yield from _by(query.actor, values)
    if query.correlation is not None:
        values["correlation"] = query.correlation.bytes
        yield "correlation = :correlation"
    if query.mentions:
        values["mentions"] = query.mentions
        yield "instr(data, :mentions) > 0"


def _by(actor: ActorQuery, values: Values) -> Iterable[str]:
    """An actor stands there as `kind:id`; an id alone may be of any kind."""
    if actor.ids is None:
        values["actor_from"], values["actor_below"] = f"{actor.kind}:", f"{actor.kind};"
        yield "actor >= :actor_from AND actor < :actor_below"
    else:
        kinds = KINDS if actor.kind is None else (actor.kind,)
        wanted = [f"{kind}:{one}" for kind in kinds for one in actor.ids]
        yield f"actor IN ({_bound('actor', wanted, values)})"


def _bound(name: str, wanted: Iterable[str], values: Values) -> str:
    """Names of parameters for some values, which are bound to them."""
    named = {f"{name}_{number}": value for number, value in enumerate(wanted)}
    values.update(named)
    return ", ".join(f":{one}" for one in named)
