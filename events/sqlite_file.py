"""A SQLite file that is ours: opened, recognised, created, locked and closed in one way.

The file says whose it is (`application_id`) and how new it is (`user_version`); neither a stranger's file
nor one from a newer Stagecraft is ever changed. There is one connection that writes, with `BEGIN
IMMEDIATE` so that the lock is taken before anything is read, and one that reads; each has a lock, so
threads may share the object. Processes wait for one another up to a deadline, by turns (`events/turns.py`)
where a kind has many writers, otherwise in SQLite's busy handler alone.

A file of an older version is upgraded in one transaction when it is opened for writing, and shown in the
present form where it can only be read.

Every error of the driver is translated here, and only here. A pool of reading connections was left out:
our reads take milliseconds, and the second connection already keeps them apart from a slow disk. So was a
file mapped into memory: one that is cut short under a reader would end the process instead of the query.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import sqlite3
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from events.kernel.errors import OutsideError, Where
from events.kernel.files import make_folders
from events.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

BUSY_SECONDS = 10.0  # how long a writer waits for writers of other processes
_RETRY_SECONDS = 0.01
_BUSY_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_INDEX_BYTES = 64 * 1024  # the smallest index of a write-ahead log is half of this
_PRIMARY_CODE = 0xFF  # an extended result code holds the primary one in its low byte


@dataclass(frozen=True, slots=True, kw_only=True)
class Older:
    """A version that this Stagecraft still takes."""

    upgrade: Callable[[sqlite3.Connection], None]  # to the present version, inside a transaction
    shown: Sequence[str]  # temporary views that show a file which cannot be written in the present form


def _begin_with_nothing(_connection: sqlite3.Connection) -> None:
    """A new file has no rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """What a file of one kind is called, looks like and fails with."""

    noun: str  # "event log"
    application_id: int
    version: int  # of the tables, from 1
    tables: Sequence[str]  # statements that make a new file
    begin: Callable[[sqlite3.Connection], None] = _begin_with_nothing  # the rows of a new file
    older: Mapping[int, Older] = field(default_factory=dict[int, "Older"])  # by version
    journal: Literal["WAL", "DELETE"]
    pragmas: Sequence[str] = ()  # for each connection, beside the common ones
    writing_pragmas: Sequence[str] = ()  # for the one that writes
    takes_turns: bool = False  # writers of several processes do, by a lock beside the file
    unavailable: str  # error code
    too_new: str  # error code


def disk_is_full(error: BaseException, path: Path) -> bool:
    """Whether a translated error about the file at `path` says that there is no room for it.

    SQLite says of its shared index only that writing failed; then the disk is asked.
    """
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        code: int = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        primary = code & _PRIMARY_CODE
        if primary in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}:
            return shutil.disk_usage(path.parent).free < _INDEX_BYTES
        return primary == sqlite3.SQLITE_FULL
    return isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}


class SqliteFile:
    """An open file of ours. The folder is made private (0700) and the file 0600 when they are missing.

    One that is there and cannot be written, or is opened with `only_read`, can be read, and every
    transaction that would write is refused by SQLite.
    """

    def __init__(
        self, path: Path, kind: FileKind, *, busy_seconds: float = BUSY_SECONDS, only_read: bool = False
    ) -> None:
        self._path = path
        self._kind = kind
        self._busy_seconds = busy_seconds
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._opened: list[sqlite3.Connection] = []
        lock = path.with_name(f"{path.name}-lock")
        self._turns = Turns(lock, wait_seconds=busy_seconds) if kind.takes_turns else None
        with self._translated():
            self._only_read = only_read or _is_read_only(path)
            try:
                if not self._only_read:
                    self._prepare_path()
                self._writer = self._connected(self._kind.writing_pragmas)
                version = self._set_up()
                self._refuse_cut_file()
                self._reader = self._connected()
                if version in kind.older:
                    self._show(kind.older[version])
                self._reader.execute("PRAGMA query_only = ON")
            except BaseException:
                self._close_all()
                raise

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """A transaction that holds the write lock from its first statement; rolled back on any error."""
        turn = nullcontext() if self._turns is None else self._turns.held()
        with self._translated(), self._write_lock:
            if self._only_read:
                raise io.UnsupportedOperation("the disk is full or read-only")
            with turn, self._transaction():
                yield self._writer

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """The connection for queries; each statement sees what was committed when it began."""
        with self._translated(), self._read_lock:
            yield self._reader

    def close(self) -> None:
        """Close the file; a second call does nothing, every other call from now on is refused."""
        with self._translated(), self._write_lock, self._read_lock:
            self._close_all()

    def _prepare_path(self) -> None:
        make_folders(self._path.parent, mode=0o700)
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def _connected(self, own_pragmas: Sequence[str] = ()) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._address(),
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,  # transactions are begun here, not by the driver
            check_same_thread=False,  # the two locks see to it
        )
        self._opened.append(connection)
        for pragma in ("synchronous = FULL", "foreign_keys = ON", *self._kind.pragmas, *own_pragmas):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _address(self) -> str:
        """The file for SQLite.

        Where no index can be made beside it, a file in WAL mode can only be read as one that nobody
        changes, which holds when no process has left a write-ahead log.
        """
        address = self._path.absolute().as_uri()
        if not self._only_read:
            return address
        log = self._path.with_name(f"{self._path.name}-wal")
        return f"{address}?mode=ro" + ("" if log.exists() and log.stat().st_size else "&immutable=1")

    def _set_up(self) -> int:
        """Recognise the file, upgrade it or make its tables, also while other processes do the same.

        Answers its version, which is an older one when the file can only be read.
        """
        if self._only_read:
            return self._recognised()
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                with self._transaction("DEFERRED"):  # both numbers from one moment
                    self._recognised()
                self._writer.execute(f"PRAGMA journal_mode = {self._kind.journal}").fetchall()
                with self._transaction():
                    self._bring_up_to_date(self._recognised())
            except sqlite3.OperationalError as error:  # the switch to WAL does not wait by itself
                busy = error.sqlite_errorcode & _PRIMARY_CODE in _BUSY_CODES
                if not busy or time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_SECONDS)
            else:
                return self._kind.version

    def _recognised(self) -> int:
        """The version of the tables, 0 for an empty file. Raises OutsideError for any other file."""
        application, version = self._number("application_id"), self._number("user_version")
        if application == 0 and version == 0 and not self._writer.execute(_ANY_TABLE).fetchone():
            return 0
        known = {self._kind.version, *self._kind.older}
        if application != self._kind.application_id or version < min(known):
            raise OutsideError(
                self._kind.unavailable, f"this file is no {self._kind.noun} of Stagecraft", where=self._where
            )
        if version > self._kind.version:
            raise OutsideError(
                self._kind.too_new,
                f"the {self._kind.noun} has version {version}, this Stagecraft knows {self._kind.version}",
                where=self._where,
                next="upgrade this Stagecraft to the one that wrote it, or name another home with --home DIR",
            )
        return version

    def _refuse_cut_file(self) -> None:
        """Raise OutsideError when the file is shorter than it says itself: SQLite looks only where it reads.

        As long as there is something in a write-ahead log the file may be shorter.
        """
        says = self._number("page_count") * self._number("page_size")
        log = self._path.with_name(f"{self._path.name}-wal")
        if self._kind.journal == "DELETE" or (log.exists() and log.stat().st_size):
            return
        if (has := self._path.stat().st_size) < says:
            raise OutsideError(
                self._kind.unavailable,
                f"the {self._kind.noun} was cut short",
                where=self._where,
                why=f"{says - has} of its {says} bytes are missing",
                next=f"keep {self._path} aside as it is, and put a backup in its place",
            )

    def _bring_up_to_date(self, version: int) -> None:
        """Make the tables of an empty file, upgrade an older one; inside a transaction."""
        if version == self._kind.version:
            return
        if version:
            self._kind.older[version].upgrade(self._writer)
        else:
            for statement in self._kind.tables:
                self._writer.execute(statement)
            self._kind.begin(self._writer)
            self._writer.execute(f"PRAGMA application_id = {self._kind.application_id}")
        self._writer.execute(f"PRAGMA user_version = {self._kind.version}")

    def _show(self, older: Older) -> None:
        """Let an older file that stays as it is look as one of the present version, for this connection."""
        for connection in self._opened:
            connection.execute("PRAGMA temp_store = MEMORY")
            for view in older.shown:
                connection.execute(view)

    def _number(self, pragma: str) -> int:
        value: int = self._writer.execute(f"PRAGMA {pragma}").fetchone()[0]
        return value

    @contextmanager
    def _transaction(self, kind: Literal["DEFERRED", "IMMEDIATE"] = "IMMEDIATE") -> Generator[None]:
        self._writer.execute(f"BEGIN {kind}")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    @contextmanager
    def _translated(self) -> Generator[None]:
        """Turn what the driver and the file system raise into the kind's `unavailable` error."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise OutsideError(
                self._kind.unavailable,
                f"the {self._kind.noun} cannot be used",
                where=self._where,
                why=str(error),
                next=_help(error, self._path),
            ) from error

    @property
    def _where(self) -> Where:
        return Where(file=str(self._path))

    def _close_all(self) -> None:
        """Close what is open, the writer last: the last one to close moves the write-ahead log home."""
        while self._opened:
            self._opened.pop().close()
        if self._turns is not None:
            self._turns.close()


def _is_read_only(path: Path) -> bool:
    """Whether the file is there and it, or its folder, cannot be written."""
    return path.is_file() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def _help(error: Exception, path: Path) -> str:
    """What a person can do about an error of the driver or the file system."""
    if isinstance(error, TimeoutError):
        return "look for a process of Stagecraft that is stopped or stuck, then try again"
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    if code & _PRIMARY_CODE in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return f"keep {path} aside as it is, and put a backup in its place"
    return f"look at {path}: is it readable and writable, and has its disk room?"


_ANY_TABLE = "SELECT 1 FROM sqlite_master LIMIT 1"
