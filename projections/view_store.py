"""The file `views.db`: whose it is, its transactions, and what becomes of it when it is damaged.

It belongs to one log, by lineage; what it holds of another log is dropped. It has no write-ahead log: its
transactions are short, and one file alone is easy to throw away. Damage is told from a lock or a full disk,
which are no reason to throw anything away, and from a wrong statement, which is a bug and stays what it is.

The file may be deleted, or another one put in its place, while somebody has it open. Who reads then reads
what was there; who begins to write is refused by SQLite before anything is written, and opens it again. A
journal goes by the file's name, so a new file must not be looked at while somebody ends a transaction of the
former one: a lock file beside it, shared to read and exclusive to write, outlives both.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from events.kernel.errors import OutsideError, Where, error_code

VIEWS_UNAVAILABLE = error_code(
    "views-unavailable", "The file of the views cannot be opened, read or written."
)

_BUSY_SECONDS = 10.0  # how long one process waits for another
_RETRY_SECONDS = 0.002
_LAYOUT = 2  # user_version of the file: the layout of the tables below
_OWN_TABLES = (
    "CREATE TABLE log (lineage TEXT NOT NULL)",
    """
    CREATE TABLE checkpoints (
        view TEXT PRIMARY KEY, version INTEGER NOT NULL, position INTEGER NOT NULL, event_id TEXT
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE parked (
        view TEXT NOT NULL,
        stream TEXT NOT NULL,
        position INTEGER NOT NULL,  -- of the first event of the stream that the view could not take
        type TEXT NOT NULL,
        schema INTEGER NOT NULL,
        at TEXT NOT NULL,
        why TEXT NOT NULL,  -- unknown-type, newer-schema, failed
        error TEXT NOT NULL,
        version TEXT NOT NULL,  -- of the Stagecraft that failed
        events INTEGER NOT NULL,  -- of the stream, that the view would have taken, with this one
        PRIMARY KEY (view, stream)
    ) WITHOUT ROWID
    """,
)
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNWRITABLE = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
MISTAKES = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH})
_PRIVATE = (
    "synchronous = OFF",
    "journal_mode = MEMORY",
    "cache_size = -32768",  # KiB; a long log is folded in a seventh less time than with the default of 2 MiB
)
_LOW_BYTE = 0xFF  # an extended result code holds the primary one there


class ViewsDamagedError(OutsideError):
    """The file is no database, or not one that can be read to its end; `mend` and open it again."""


class ViewsUnwritableError(OutsideError):
    """The file may be in order and cannot be written: no room, a read-only disk, no permission."""


class ViewsMovedError(OutsideError):
    """The file was deleted or replaced since it was opened; open it again."""


class ViewStore:
    """The file `views.db` of one log; made when it is missing, emptied when it is not of this log.

    It belongs to the thread that opened it. Raises OutsideError `views-unavailable`; ViewsDamagedError, of
    the same code, when to throw the file away would help, and ViewsMovedError when to open it again would.
    """

    def __init__(self, path: Path | None, *, lineage: str, private: bool = False) -> None:
        """Without a path it is in memory and gone with this object.

        One that is `private` is nobody else's: it takes no lock, and is of no use when its process ends
        within a transaction, or the machine before `sync` was called.
        """
        self._path = path
        self._shared = None if private else path
        self.emptied: str | None = None
        """Why everything in it is to be made anew, in words; None: nothing is, or it was missing."""
        with translated(path):
            self._connection = connected(path)
            try:
                for pragma in _PRIVATE if private else ():
                    self._connection.execute(f"PRAGMA {pragma}")
                self._make_ours(lineage)
            except BaseException:
                self._connection.close()
                raise

    def _make_ours(self, lineage: str) -> None:
        """Empty a file that is new or of another log; the write lock is asked for only then."""
        with self._transaction("BEGIN", exclusive=False):
            if _belongs(self._connection, lineage):
                return
        with self._transaction("BEGIN IMMEDIATE", exclusive=True):
            if not _belongs(self._connection, lineage):
                self.emptied = _stranger(self._connection)
                _empty(self._connection, lineage)

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """One consistent state of all views; columns are addressed by name."""
        with translated(self._path), self._transaction("BEGIN", exclusive=False):
            yield self._connection

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """A transaction that holds the write lock from its start; rolled back on any error."""
        with translated(self._path), self._transaction("BEGIN IMMEDIATE", exclusive=True):
            yield self._connection

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._connection.close()

    @contextmanager
    def _transaction(self, begin: str, *, exclusive: bool) -> Generator[None]:
        with turn(self._shared, exclusive=exclusive):
            self._connection.execute(begin)
            try:
                yield
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise


def mend(path: Path) -> None:
    """Throw the file away if it is damaged; one process at a time, so that none throws away a new file.

    Raises OutsideError `views-unavailable`.
    """
    with translated(path), turn(path, exclusive=True):
        if _is_sound(path):
            return
        for suffix in ("", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _is_sound(path: Path) -> bool:
    try:
        with closing(connected(path)) as connection:
            return [row[0] for row in connection.execute("PRAGMA quick_check")] == ["ok"]
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return False
        raise


def connected(path: Path | None) -> sqlite3.Connection:
    """A connection to a file of views, made when it is missing; raises what the driver raises."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = sqlite3.connect(path or ":memory:", timeout=_BUSY_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stranger(connection: sqlite3.Connection) -> str | None:
    """What a file is that is not of this log, in words; None for an empty one."""
    if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None:
        return None
    layout: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return "it is of another log" if layout == _LAYOUT else "another version of Stagecraft made it"


def _belongs(connection: sqlite3.Connection, lineage: str) -> bool:
    """Whether the file has our layout and the views of this log."""
    names = "SELECT 1 FROM sqlite_master WHERE name IN ('log', 'checkpoints', 'parked')"
    own = connection.execute(names).fetchall()
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


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault; a lock or a full disk is no reason to throw it away."""
    return primary_code(error) in _DAMAGE


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; SQLITE_ERROR, a wrong statement, also for a wrong use of the driver."""
    extended: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return extended & _LOW_BYTE


def _has_no_room(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in {errno.EDQUOT, errno.ENOSPC, errno.EROFS}


@contextmanager
def turn(path: Path | None, *, exclusive: bool) -> Generator[None]:
    """Hold the lock of the file at `path`; without a path, or where none can be made, nobody else writes."""
    try:
        descriptor = None if path is None else _lock_file(path)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise
        descriptor = None
    if descriptor is None:
        yield
        return
    try:
        _take(descriptor, path, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, seconds=_BUSY_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _lock_file(path: Path) -> int:
    return os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold the lock file at `path`, which dies with its process. Raises TimeoutError if somebody has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(descriptor, path, fcntl.LOCK_EX, seconds=0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path | None, kind: int, *, seconds: float) -> None:
    """Take a lock that dies with its process. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"another process keeps {path} locked") from error
            time.sleep(_RETRY_SECONDS)
        else:
            return


@contextmanager
def translated(path: Path | None) -> Generator[None]:
    """Errors of the driver and the file system as `views-unavailable`; a wrong statement stays what it is."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        code = primary_code(error) if isinstance(error, sqlite3.Error) else None
        if code in MISTAKES:
            raise
        kind = ViewsDamagedError if code in _DAMAGE else OutsideError
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_DBMOVED:
            raise ViewsMovedError(VIEWS_UNAVAILABLE, "the file of the views was replaced") from error
        if code in _UNWRITABLE or isinstance(error, PermissionError) or _has_no_room(error):
            kind = ViewsUnwritableError
        raise kind(
            VIEWS_UNAVAILABLE,
            "the views cannot be used",
            where=Where(file="memory" if path is None else str(path)),
            why=str(error),
            next="check the folder's permissions and free space; the file itself may be deleted at any time",
        ) from error
