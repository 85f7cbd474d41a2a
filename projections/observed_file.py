"""The file `observed.db` itself: opened for each piece of work, made anew when it cannot be understood.

Each piece of work opens the file for itself. That costs a fraction of a millisecond, works from any thread,
and a file that was deleted meanwhile harms nothing. An open connection was dropped for these.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from events.kernel.errors import OutsideError, error_code

OBSERVED_UNAVAILABLE = error_code(
    "observed-unavailable", "The file that keeps what engines last answered cannot be read or written."
)

_LAYOUT = 7  # user_version of the file
_BUSY_SECONDS = 5.0
_NOT_OURS = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR")  # the last: a table of another shape
_TABLES = (
    """
CREATE TABLE IF NOT EXISTS host (
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    reachable INTEGER,
    reason TEXT NOT NULL,
    services TEXT NOT NULL,
    at TEXT,
    PRIMARY KEY (environment, name)
) WITHOUT ROWID
""",
    "CREATE TABLE IF NOT EXISTS look (environment TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID",
    """
CREATE TABLE IF NOT EXISTS source (
    environment TEXT PRIMARY KEY, error TEXT NOT NULL, since TEXT NOT NULL
) WITHOUT ROWID
""",
    """
CREATE TABLE IF NOT EXISTS branch (
    slug TEXT NOT NULL, ref TEXT NOT NULL, url TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (slug, ref)
) WITHOUT ROWID
""",
    "CREATE TABLE IF NOT EXISTS images (environment TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS inspected (environment TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID",
    """
CREATE TABLE IF NOT EXISTS answer (
    host TEXT PRIMARY KEY, answers INTEGER NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL
) WITHOUT ROWID
""",
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ObservedFile:
    """Runs pieces of work in the file at `path`, each in a transaction of its own."""

    path: Path

    def write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Run `work` in one transaction, or leave it where nothing can be written."""
        try:
            self.work(work)
        except OutsideError as error:
            if not _has_no_room(error.__cause__):
                raise

    def work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one transaction; a file that cannot be understood is made anew, once."""
        try:
            try:
                with self._opened() as db:
                    return work(db)
            except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
                if isinstance(error, sqlite3.Error) and not _is_damaged(error):
                    raise
            self._forget()
            with self._opened() as db:
                return work(db)
        except (sqlite3.Error, OSError) as error:
            raise OutsideError(
                OBSERVED_UNAVAILABLE,
                f"cannot use {self.path}",
                why=str(error),
                next="check the folder's permissions and free space; the file may be deleted at any time",
            ) from error

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = self.path.is_file() or os.access(self.path.parent, os.W_OK)
        with closing(sqlite3.connect(self.path if kept else ":memory:", timeout=_BUSY_SECONDS)) as db:
            db.execute("PRAGMA synchronous = OFF")  # it may be lost at any time
            (layout,) = db.execute("PRAGMA user_version").fetchone()
            with db:
                if layout != _LAYOUT:
                    for name in ("host", "look", "source", "branch", "images", "inspected", "answer"):
                        db.execute(f"DROP TABLE IF EXISTS {name}")
                    db.execute(f"PRAGMA user_version = {_LAYOUT}")
                for table in _TABLES:
                    db.execute(table)
                yield db

    def _forget(self) -> None:
        """Remove the file with its journal."""
        for suffix in ("", "-journal", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


def _has_no_room(cause: BaseException | None) -> bool:
    """Whether the disk is full or read-only."""
    if isinstance(cause, OSError):
        return cause.errno in {errno.EDQUOT, errno.ENOSPC, errno.EROFS}
    name: str = getattr(cause, "sqlite_errorname", "")
    return name.startswith(("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR_WRITE"))


def _is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file is no database of ours; a lock or a full disk is no reason to throw it away."""
    name: str = getattr(error, "sqlite_errorname", "")
    return name.startswith(_NOT_OURS)
