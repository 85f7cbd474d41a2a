"""What is asked of `events.db`; nothing here changes it.

Each function takes a connection and sees one moment of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.broken import LogProblem
from events.envelope import StoredEvent
from events.kernel.errors import OutsideError, Where
from events.log import LOG_UNAVAILABLE, Anchor, LogRow

if TYPE_CHECKING:
    import sqlite3

    from events.streams import StreamName

_HEAD = "SELECT position FROM log_head"
_ANCHOR = """
SELECT h.log_id, h.lineage, h.position, h.hash, e.hash
FROM log_head AS h LEFT JOIN events AS e ON e.position = :position
"""
_BROKEN = "SELECT broken FROM log_head"
_VERSION = "SELECT version FROM streams WHERE name = ?"
# By the bounds of the prefix, so that the index of names serves: no character comes after the last one.
_STREAM_NAMES = (
    "SELECT name FROM streams WHERE name >= :prefix AND name < :prefix || char(1114111) ORDER BY name"
)
COLUMNS = """
e.position, e.event_id, s.name, e.version, e.type, e.schema, e.at_us, e.actor, e.correlation, e.causation,
e.data
"""
# CROSS JOIN keeps SQLite from walking the streams first; a LIMIT of -1 is none.
_READ = f"""
SELECT {COLUMNS} FROM events AS e CROSS JOIN streams AS s USING (stream_no)
WHERE e.position > :after AND (:type IS NULL OR e.type = :type)
ORDER BY e.position LIMIT :limit
"""  # noqa: S608  # the columns above
# Within a stream versions are in the order of positions, so its index serves both.
_READ_STREAM = f"""
SELECT {COLUMNS} FROM streams AS s CROSS JOIN events AS e USING (stream_no)
WHERE s.name = :stream AND e.version > :after_version AND e.position > :after
      AND (:type IS NULL OR e.type = :type)
ORDER BY e.version LIMIT :limit
"""  # noqa: S608  # the columns above
# A row whose stream is gone is shown without a name: whoever verifies must see it.
_ROWS = f"""
SELECT {COLUMNS}, e.data_hash, e.leaf, e.hash FROM events AS e LEFT JOIN streams AS s USING (stream_no)
WHERE e.position > :after ORDER BY e.position LIMIT :limit
""".replace("s.name", "coalesce(s.name, '')")  # noqa: S608  # the columns above


def read(
    connection: sqlite3.Connection,
    *,
    after: int = 0,
    after_version: int = 0,
    limit: int | None = None,
    stream: StreamName | None = None,
    type_name: str | None = None,
) -> list[StoredEvent]:
    """Events after a position, oldest first; of one stream also after a version of it."""
    values = {
        "after": after,
        "after_version": after_version,
        "limit": _limit(limit),
        "stream": stream,
        "type": type_name,
    }
    query = _READ if stream is None else _READ_STREAM
    return list(map(StoredEvent._make, connection.execute(query, values)))


def rows(connection: sqlite3.Connection, *, after: int, limit: int | None) -> list[LogRow]:
    """Events after a position as they are stored."""
    found = connection.execute(_ROWS, {"after": after, "limit": _limit(limit)})
    return list(map(LogRow._make, found))


def head(connection: sqlite3.Connection) -> int:
    """The position of the newest event as the head says it."""
    position: int = connection.execute(_HEAD).fetchone()[0]
    return position


def anchor(connection: sqlite3.Connection, position: int | None, *, file: str) -> Anchor:
    """The place of an event in the chain. Raises ValueError and OutsideError `log-unavailable`."""
    log_id, lineage, newest, newest_hash, found = connection.execute(
        _ANCHOR, {"position": position}
    ).fetchone()
    if newest_hash is None:
        raise OutsideError(
            LOG_UNAVAILABLE,
            "the event log was written by an older Stagecraft and has no chain yet",
            where=Where(file=file),
            next="make the file and its folder writable; the next command gives the log its chain",
        )
    if position is None or position == newest:
        return Anchor(log_id=log_id, lineage=lineage, position=newest, hash=newest_hash)
    if position == 0:
        from events.chain import genesis  # noqa: PLC0415  # who only reads waits for no digests

        return Anchor(
            log_id=log_id, lineage=lineage, position=0, hash=genesis(log_id=log_id, lineage=lineage)
        )
    if found is None:
        raise ValueError(f"the log has no event {position}")
    return Anchor(log_id=log_id, lineage=lineage, position=position, hash=found)


def problem(connection: sqlite3.Connection) -> LogProblem | None:
    """What was found wrong with the log."""
    (text,) = connection.execute(_BROKEN).fetchone()
    return None if text is None else LogProblem.from_json(text)


def stream_version(connection: sqlite3.Connection, stream: StreamName) -> int:
    """The version of the newest event of a stream, 0 when it has none."""
    found: tuple[int] | None = connection.execute(_VERSION, (stream,)).fetchone()
    return 0 if found is None else found[0]


def streams(connection: sqlite3.Connection, prefix: str) -> list[StreamName]:
    """The names of all streams that start with a prefix, sorted."""
    return [name for (name,) in connection.execute(_STREAM_NAMES, {"prefix": prefix})]


def _limit(limit: int | None) -> int:
    return -1 if limit is None else limit
