"""Follows the log into views: page by position, apply, move the checkpoint in the same transaction.

A view is a pure fold: rows made from events and nothing else, no clock, no effect. So `views.db` may go at
any time. It is made anew from the first event when it is damaged, when it belongs to another log (lineage),
when the log does not hold the event that the checkpoint names (a restored copy), and a single view when its
`version` is not the stored one. A page moves the checkpoint past all its events, also those that do not
concern the view, and it moves from the position that was read: of two processes that follow at once one
applies a page and the other reads again.

The file has no write-ahead log: its transactions are short, and one file alone is easy to throw away. Views
built aside and flipped were left out until a rebuild takes longer than anybody wants to wait.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from events.envelope import StoredEvent
from events.kernel.errors import InternalError, OutsideError, Where, error_code
from events.log import EventLog

VIEWS_UNAVAILABLE = error_code(
    "views-unavailable", "The file of the views cannot be opened, read or written."
)
VIEW_BROKEN = error_code("view-broken", "A view cannot take an event of the log: a bug, or a damaged log.")

PAGE_EVENTS = 1000  # one transaction a page: 200,000 events/s measured, with little to repeat after a crash
_BUSY_SECONDS = 10.0  # how long one process waits for another
_RETRY_SECONDS = 0.01
_LAYOUT = 1  # user_version of the file: the layout of the two tables below
_OWN_TABLES = (
    "CREATE TABLE log (lineage TEXT NOT NULL)",
    """
    CREATE TABLE checkpoints (
        view TEXT PRIMARY KEY, version INTEGER NOT NULL, position INTEGER NOT NULL, event_id TEXT
    ) WITHOUT ROWID
    """,
)
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BAD_DATA = (KeyError, ValueError, TypeError, AttributeError)
_REFUSED_ROWS = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
_MISTAKES = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH})
_LOW_BYTE = 0xFF  # an extended result code holds the primary one there

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A fold of the log into tables."""

    name: str
    version: int  # of the fold and its tables together; another one than stored: rebuilt
    tables: Mapping[str, str]  # {table: the statement that makes it}
    concerns: frozenset[str]  # event types that `apply` is called with
    apply: Callable[[sqlite3.Connection, StoredEvent], None]


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    position: int  # 0: nothing applied yet
    event_id: str | None  # of the event at `position`


class ViewsDamagedError(OutsideError):
    """The file is no database, or not one that can be read to its end; `mend` and open it again."""


class ViewStore:
    """The file `views.db` of one log; made when it is missing, emptied when it is not of this log.

    It belongs to the thread that opened it. Raises OutsideError `views-unavailable`; ViewsDamagedError, of
    the same code, when to throw the file away would help.
    """

    def __init__(self, path: Path, *, lineage: str) -> None:
        self._path = path
        with _translated(path):
            self._connection = _connected(path)
            try:
                self._make_ours(lineage)
            except BaseException:
                self._connection.close()
                raise

    def _make_ours(self, lineage: str) -> None:
        """Empty a file that is new or of another log; the write lock is asked for only then."""
        with self._transaction("BEGIN"):
            if _belongs(self._connection, lineage):
                return
        with self._transaction("BEGIN IMMEDIATE"):
            if not _belongs(self._connection, lineage):
                _empty(self._connection, lineage)

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """One consistent state of all views; columns are addressed by name."""
        with _translated(self._path), self._transaction("BEGIN"):
            yield self._connection

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """A transaction that holds the write lock from its start; rolled back on any error."""
        with _translated(self._path), self._transaction("BEGIN IMMEDIATE"):
            yield self._connection

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._connection.close()

    @contextmanager
    def _transaction(self, begin: str) -> Generator[None]:
        self._connection.execute(begin)
        try:
            yield
            self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise


def read_views(
    log: EventLog, path: Path, views: Sequence[View], query: Callable[[sqlite3.Connection], T]
) -> T:
    """Fold the log into `views` up to its head and answer what `query` finds; a damaged file is made anew.

    Raises what `catch_up` raises.
    """
    try:
        return _read_views(log, path, views, query)
    except ViewsDamagedError:
        mend(path)
        return _read_views(log, path, views, query)


def _read_views(
    log: EventLog, path: Path, views: Sequence[View], query: Callable[[sqlite3.Connection], T]
) -> T:
    with closing(ViewStore(path, lineage=log.lineage)) as store:
        for view in views:
            catch_up(log, store, view)
        with store.reading() as tables:
            return query(tables)


def catch_up(log: EventLog, store: ViewStore, view: View, *, page_events: int = PAGE_EVENTS) -> int:
    """Fold the log into `view` up to its head at this moment, or further; answers the position reached.

    Raises OutsideError `views-unavailable` or `log-unavailable`, InternalError `view-broken`.
    """
    checkpoint = _prepared(store, view)
    if not _holds(log, checkpoint):
        with store.writing() as tables:
            _make(tables, view)
        checkpoint = _Checkpoint(0, None)
    head = log.head()
    while checkpoint.position < head:
        page = log.read(after=checkpoint.position, limit=page_events)
        checkpoint = _apply_page(store, view, page, checkpoint=checkpoint)
    return checkpoint.position


def _holds(log: EventLog, checkpoint: _Checkpoint) -> bool:
    """Whether the log still has the event that the checkpoint names at its position."""
    if checkpoint.position == 0:
        return True
    newest = log.read(after=checkpoint.position - 1, limit=1)
    return [str(event.id) for event in newest] == [checkpoint.event_id]


def _apply_page(
    store: ViewStore, view: View, page: list[StoredEvent], *, checkpoint: _Checkpoint
) -> _Checkpoint:
    """Apply one page and move the checkpoint with it; when somebody else moved it, answer where it is."""
    reached = _Checkpoint(page[-1].position, str(page[-1].id))
    with store.writing() as tables:
        moved = tables.execute(
            "UPDATE checkpoints SET position = ?, event_id = ?"
            " WHERE view = ? AND version = ? AND position = ?",
            (reached.position, reached.event_id, view.name, view.version, checkpoint.position),
        )
        if moved.rowcount == 1:
            for event in page:
                if event.type in view.concerns:
                    _apply(tables, view, event)
            return reached
    return _prepared(store, view)


def _apply(tables: sqlite3.Connection, view: View, event: StoredEvent) -> None:
    try:
        view.apply(tables, event)
    except (*_BAD_DATA, *_REFUSED_ROWS) as error:
        raise InternalError(
            VIEW_BROKEN,
            f"the view {view.name} cannot take {event.type} at position {event.position}",
            why=f"{type(error).__name__}: {error}",
            next=f"stagecraft events list --json --after {event.position - 1} --limit 1",
        ) from error


def _prepared(store: ViewStore, view: View) -> _Checkpoint:
    """The view's checkpoint; its tables are made, or made anew, unless they are of its version."""
    query = "SELECT version, position, event_id FROM checkpoints WHERE view = ?"
    with store.reading() as tables:
        found = tables.execute(query, (view.name,)).fetchone()
    if found is not None and found["version"] == view.version:
        return _Checkpoint(found["position"], found["event_id"])
    with store.writing() as tables:
        again = tables.execute(query, (view.name,)).fetchone()
        if again is None or again["version"] != view.version:
            _make(tables, view)
            return _Checkpoint(0, None)
        return _Checkpoint(again["position"], again["event_id"])


def _make(tables: sqlite3.Connection, view: View) -> None:
    """Empty tables and a checkpoint at the start."""
    for name, statement in view.tables.items():
        tables.execute(f'DROP TABLE IF EXISTS "{name}"')
        tables.execute(statement)
    tables.execute(
        "INSERT OR REPLACE INTO checkpoints (view, version, position, event_id) VALUES (?, ?, 0, NULL)",
        (view.name, view.version),
    )


def mend(path: Path) -> None:
    """Throw the file away if it is damaged; one process at a time, so that none throws away a new file.

    Raises OutsideError `views-unavailable`.
    """
    with _translated(path), _locked(path.with_name(path.name + ".lock")):
        if _is_sound(path):
            return
        for suffix in ("", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _is_sound(path: Path) -> bool:
    try:
        with closing(_connected(path)) as connection:
            return [row[0] for row in connection.execute("PRAGMA quick_check")] == ["ok"]
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            return False
        raise


def _connected(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def _belongs(connection: sqlite3.Connection, lineage: str) -> bool:
    """Whether the file has our layout and the views of this log."""
    own = connection.execute("SELECT 1 FROM sqlite_master WHERE name IN ('log', 'checkpoints')").fetchall()
    if len(own) != len(_OWN_TABLES) or connection.execute("PRAGMA user_version").fetchone()[0] != _LAYOUT:
        return False
    return [row["lineage"] for row in connection.execute("SELECT lineage FROM log")] == [lineage]


def _empty(connection: sqlite3.Connection, lineage: str) -> None:
    """Drop whatever is there and make the file one of this log."""
    for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        connection.execute(f'DROP TABLE "{row["name"]}"')
    for statement in _OWN_TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO log VALUES (?)", (lineage,))
    connection.execute(f"PRAGMA user_version = {_LAYOUT}")


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault; a lock or a full disk is no reason to throw it away."""
    return _primary_code(error) in _DAMAGE


def _primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; SQLITE_ERROR, a wrong statement, also for a wrong use of the driver."""
    extended: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return extended & _LOW_BYTE


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Hold a lock that dies with its process. Raises TimeoutError after `_BUSY_SECONDS`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"another process keeps {path} locked") from error
                time.sleep(_RETRY_SECONDS)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _translated(path: Path) -> Generator[None]:
    """Errors of the driver and the file system as `views-unavailable`; a wrong statement stays what it is."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        code = _primary_code(error) if isinstance(error, sqlite3.Error) else None
        if code in _MISTAKES:
            raise
        kind = ViewsDamagedError if code in _DAMAGE else OutsideError
        raise kind(
            VIEWS_UNAVAILABLE,
            "the views cannot be used",
            where=Where(file=str(path)),
            why=str(error),
            next="check the folder's permissions and free space; the file itself may be deleted at any time",
        ) from error
