"""The log in a SQLite file: durable on return, shared by threads and processes.

Rule: a position is read from `log_head` and given back to it inside one `BEGIN IMMEDIATE` transaction. The
write lock is held from the numbering to the commit, so the order of positions is the order of commits, and
whoever reads `position > checkpoint` can never skip an event that commits later. A sequence outside the
lock would lose events for followers.

Appends of all threads that wait for the disk share a transaction (`events/sqlite_writer.py`), and nobody is
answered before it is on the disk.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from events import sqlite_read
from events.kernel.errors import OutsideError, Where
from events.log import LOG_UNAVAILABLE
from events.query import check_limit
from events.sqlite_file import BUSY_SECONDS, SqliteFile, disk_is_full
from events.sqlite_query import position_at, select
from events.sqlite_schema import event_log
from events.sqlite_tokens import draw, newest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

    from events.broken import LogProblem
    from events.envelope import StoredEvent
    from events.log import Anchor, LogRow, StreamAppend
    from events.query import EventQuery
    from events.reserve import Reserve
    from events.sqlite_writer import SqliteWriter
    from events.streams import StreamName
    from events.tokens import Token

POLL_SECONDS = 0.05  # how late a waiter sees what another process appended; one look costs microseconds

_LINEAGE = "SELECT lineage FROM log_head"
_MARK = "UPDATE log_head SET broken = ?"


class SqliteEventLog:
    """An event log in the file at `path`, which is made when it is missing.

    A new file goes on with `lineage`, None: it begins its own. With a `reserve` what must not be lost is
    written on a full disk too. Writers of other processes are waited for `wait_seconds`. Raises OutsideError
    `log-too-new` for the file of a newer Stagecraft and `log-unavailable` for one that is not ours, is
    damaged or cannot be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        reserve: Reserve | None = None,
        lineage: str | None = None,
        wait_seconds: float = BUSY_SECONDS,
    ) -> None:
        self._path = path
        self._wait_seconds = wait_seconds
        self._reserve = reserve
        self._kind = event_log(lineage=lineage)
        self._file = self._opened_file()
        self._appended = threading.Condition()  # wakes waiters of this process before they poll
        self._making = threading.Lock()
        self._writer: SqliteWriter | None = None
        self._closed = False
        self._lineage = self._read_lineage()

    def _opened_file(self) -> SqliteFile:
        """The file; on a full disk with a part of the reserve, and without one for reading."""
        opened = partial(SqliteFile, self._path, self._kind, busy_seconds=self._wait_seconds)
        try:
            return opened()
        except OutsideError as error:
            if not disk_is_full(error, self._path):
                raise
            if self._reserve is None:
                return opened(only_read=True)
            if not self._reserve.lend():
                raise
            return opened()

    def _read_lineage(self) -> str:
        """The lineage; a file without it is closed again."""
        try:
            with self._file.reading() as connection:
                found: tuple[str] | None = connection.execute(_LINEAGE).fetchone()
        except BaseException:
            self._file.close()
            raise
        if found is None:
            self._file.close()
            raise OutsideError(
                LOG_UNAVAILABLE,
                "the event log has lost its head",
                where=self._where,
                next=f"keep {self._path} aside as it is, and put a backup in its place",
            )
        return found[0]

    @property
    def lineage(self) -> str:
        """The id of the first log that this one descends from."""
        return self._lineage

    def append(
        self, parts: Sequence[StreamAppend], *, append_id: UUID | None = None
    ) -> tuple[StoredEvent, ...]:
        """Append all parts or none, durably; see `EventLog.append`."""
        return self._writing.append(parts, append_id=append_id)

    @property
    def _writing(self) -> SqliteWriter:
        """What appends; made for the first one. Raises OutsideError `log-unavailable` when there is none."""
        if self._writer is not None:
            return self._writer
        from events.sqlite_writer import SqliteWriter  # noqa: PLC0415  # who only reads waits for none of it

        with self._making:
            if self._closed:
                raise OutsideError(LOG_UNAVAILABLE, "the event log is closed", where=self._where)
            if self._writer is None:
                self._writer = SqliteWriter(self._file, self._path, reserve=self._reserve, written=self._wake)
            return self._writer

    @property
    def queued(self) -> int:
        """How many appends of this process wait for the disk."""
        return 0 if self._writer is None else self._writer.queued

    @property
    def busy(self) -> bool:
        """Whether this process appends at the moment."""
        return self._writer is not None and self._writer.busy

    def _wake(self) -> None:
        """Something was appended: whoever waits for events looks."""
        with self._appended:
            self._appended.notify_all()

    def newest_token(self, name: str) -> int:
        """The number of the newest token, 0 when none was ever drawn."""
        with self._file.reading() as connection:
            return newest(connection, name)

    def draw_token(self, name: str, *, after: int, vital: bool = False) -> Token:
        """The token that follows `after`, durably; see `Tokens.draw_token`."""

        def write() -> Token:
            with self._file.writing() as connection:
                return draw(connection, name, after=after)

        return self._writing.with_room(write, vital=vital)

    def head(self) -> int:
        """The position of the newest event, 0 for an empty log."""
        with self._file.reading() as connection:
            return sqlite_read.head(connection)

    def stream_version(self, stream: StreamName) -> int:
        """The version of the newest event of `stream`, 0 when it has none."""
        with self._file.reading() as connection:
            return sqlite_read.stream_version(connection, stream)

    def read_stream(self, stream: StreamName, *, after_version: int = 0) -> list[StoredEvent]:
        """The events of one stream after a version, oldest first."""
        with self._file.reading() as connection:
            return sqlite_read.read(connection, stream=stream, after_version=after_version)

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
        with self._file.reading() as connection:
            return sqlite_read.read(connection, after=after, limit=limit, stream=stream, type_name=type_name)

    def select(self, query: EventQuery) -> list[StoredEvent]:
        """The events that `query` asks for, in its order."""
        check_limit(query.limit)
        with self._file.reading() as connection:
            return select(connection, query)

    def position_at(self, moment: datetime) -> int:
        """The position of the last event whose time is at or before `moment`."""
        with self._file.reading() as connection:
            return position_at(connection, moment)

    def streams(self, prefix: str = "") -> list[StreamName]:
        """The names of all streams that start with `prefix`, sorted."""
        with self._file.reading() as connection:
            return sqlite_read.streams(connection, prefix)

    def rows(self, *, after: int = 0, limit: int | None = None) -> list[LogRow]:
        """Events after a position as they are stored; a page of a long log at a time fits into memory."""
        check_limit(limit)
        with self._file.reading() as connection:
            return sqlite_read.rows(connection, after=after, limit=limit)

    def anchor(self, position: int | None = None) -> Anchor:
        """The place of an event in the chain, None: of the newest one; see `EventLog.anchor`.

        Raises OutsideError `log-unavailable` for the file of an older Stagecraft that can only be read.
        """
        with self._file.reading() as connection:
            return sqlite_read.anchor(connection, position, file=str(self._path))

    def problem(self) -> LogProblem | None:
        """What was found wrong with the log, None: nothing so far."""
        with self._file.reading() as connection:
            return sqlite_read.problem(connection)

    def mark_broken(self, problem: LogProblem) -> None:
        """Refuse every append from now on, in all processes."""
        with self._file.writing() as connection:
            connection.execute(_MARK, (problem.as_json(),))

    def clear_broken(self) -> None:
        """Take appends again."""
        with self._file.writing() as connection:
            connection.execute(_MARK, (None,))

    def wait_for(self, after: int, timeout_seconds: float) -> int:
        """The head, as soon as it is beyond `after` or when the time is over."""
        deadline = time.monotonic() + timeout_seconds
        with self._appended:
            while (head := self.head()) <= after and (left := deadline - time.monotonic()) > 0:
                self._appended.wait(min(left, POLL_SECONDS))
            return head

    def close(self) -> None:
        """Write what is queued and close the file; whoever waits is told within `POLL_SECONDS`."""
        with self._making:
            self._closed = True
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self._file.close()

    @property
    def _where(self) -> Where:
        return Where(file=str(self._path))
