"""The rows of `events.db` as they are stored: nothing decoded, nothing believed.

Whoever looks for tampering must be able to read a row that says nonsense, so texts come as bytes and no id,
time or name is taken apart. Rows come in pages, each a query of its own: a look at a million rows holds
neither memory nor the write-ahead log. All that is said of the head comes from one statement, so that it is
of one moment while others append.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.sqlite_file import SqliteFile
from events.sqlite_schema import EVENT_LOG
from events.sqlite_tokens import every

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Generator, Iterator
    from pathlib import Path

    from events.chain import Row

PAGE_ROWS = 400  # few enough for the processor's cache: larger pages take longer for each row

_COLUMNS = """
e.position, e.event_id, coalesce(s.name, ''), e.version, e.type, e.schema, e.at_us,
e.actor, e.correlation, e.causation, e.data, e.data_hash, e.leaf, e.hash
"""
_ROWS = f"""
SELECT {_COLUMNS} FROM events AS e LEFT JOIN streams AS s USING (stream_no)
WHERE e.position > :after AND e.position <= :upto ORDER BY e.position LIMIT :limit
"""  # noqa: S608 - the columns are ours
_ROWS_OF_TYPES = f"""
SELECT {_COLUMNS} FROM events AS e LEFT JOIN streams AS s USING (stream_no)
WHERE e.position > ? AND e.position <= ? AND e.type IN ({{types}}) ORDER BY e.position
"""  # noqa: S608 - the columns are ours
_HEAD = """
SELECT log_id, lineage, position, hash,
       (SELECT max(position) FROM events), (SELECT min(position) FROM events),
       (SELECT coalesce(sum(version), 0) FROM streams),
       (SELECT coalesce(max(last_position), 0) FROM appends)
FROM log_head
"""
_HASH = "SELECT hash FROM events WHERE position = ?"
_NAMING = "SELECT min(position) FROM events WHERE instr(data, ?) > 0"
_ACTORS = "SELECT DISTINCT actor FROM events"
_TYPES = "SELECT DISTINCT type FROM events"
_STREAMS = "SELECT name FROM streams"
_APPENDS = "SELECT append_id, fingerprint, first_position, last_position FROM appends"
_VERSION_BEFORE = """
SELECT max(e.version) FROM events AS e JOIN streams AS s USING (stream_no)
WHERE s.name = CAST(? AS TEXT) AND e.position < ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawHead:
    """What the file says of its end, all of one moment."""

    log_id: bytes
    lineage: bytes
    position: int
    hash: bytes
    last: int  # the highest position of a row, 0 when there is none
    first: int  # the lowest one
    counted: int  # events by the versions of all streams
    appended: int  # the highest position that an append answered


class RawLog:
    """The rows of one file, for reading; one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, *, path: Path) -> None:
        self._connection = connection
        self.path = path

    def head(self) -> RawHead | None:
        """The head, None when its row is gone."""
        found = self._connection.execute(_HEAD).fetchone()
        if found is None:
            return None
        log_id, lineage, position, row_hash, last, first, counted, appended = found
        return RawHead(
            log_id=log_id,
            lineage=lineage,
            position=position,
            hash=row_hash,
            last=last or 0,
            first=first or 0,
            counted=counted,
            appended=appended,
        )

    def page(self, *, after: int, upto: int) -> list[Row]:
        """The next rows behind a position, at most `PAGE_ROWS`, in the order of positions."""
        values = {"after": after, "upto": upto, "limit": PAGE_ROWS}
        return self._connection.execute(_ROWS, values).fetchall()

    def rows(self, *, after: int, upto: int) -> Iterator[Row]:
        """All rows between two positions."""
        while page := self.page(after=after, upto=upto):
            yield from page
            after = page[-1][0]

    def rows_of(self, types: Collection[str], *, after: int, upto: int) -> list[Row]:
        """The rows of some types between two positions, in their order."""
        values = [after, upto, *types]
        marks = ", ".join("?" for _ in types)
        return self._connection.execute(_ROWS_OF_TYPES.format(types=marks), values).fetchall()

    def row(self, position: int) -> Row | None:
        """The row of one position."""
        found = self.page(after=position - 1, upto=position)
        return found[0] if found else None

    def hash_at(self, position: int) -> bytes | None:
        """The stored hash of a row."""
        found = self._connection.execute(_HASH, (position,)).fetchone()
        return None if found is None else found[0]

    def first_naming(self, text: bytes) -> int | None:
        """The first event whose data name this text."""
        found: int | None = self._connection.execute(_NAMING, (text,)).fetchone()[0]
        return found

    def actors(self) -> list[bytes]:
        """Every actor that some row names."""
        return [one for (one,) in self._connection.execute(_ACTORS)]

    def types(self) -> list[bytes]:
        """Every type that some row has."""
        return [one for (one,) in self._connection.execute(_TYPES)]

    def streams(self) -> Iterator[bytes]:
        """The names of all streams."""
        return (name for (name,) in self._connection.execute(_STREAMS))

    def tokens(self) -> list[tuple[str, int]]:
        """The newest token of each name."""
        self._connection.text_factory = str
        try:
            return every(self._connection)
        finally:
            self._connection.text_factory = bytes

    def appends(self) -> Iterator[tuple[bytes, bytes, int, int]]:
        """Append ids with their fingerprints, and the first and last position that they answer."""
        return iter(self._connection.execute(_APPENDS))

    def version_before(self, stream: bytes, position: int) -> int:
        """The newest version of a stream before a position, 0 when it has none."""
        found: int | None = self._connection.execute(_VERSION_BEFORE, (stream, position)).fetchone()[0]
        return found or 0


@contextmanager
def raw_log(path: Path) -> Generator[RawLog]:
    """The rows of the file at `path`, which must be there.

    Raises OutsideError `log-unavailable` or `log-too-new`, also from within the block where the file turns
    out to be no database.
    """
    file = SqliteFile(path, EVENT_LOG)
    try:
        with file.reading() as connection:
            connection.text_factory = bytes
            yield RawLog(connection, path=path)
    finally:
        file.close()
