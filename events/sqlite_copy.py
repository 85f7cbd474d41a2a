"""A copy of one of our SQLite files as it was at one moment, while others go on writing.

The whole file is read in one step, inside one transaction of the reader: writers of a file with a
write-ahead log do not wait for it, and no page is of another moment than the rest. (Copying some pages at a
time was dropped: each append in between starts it anew.) A copy that was settled has no write-ahead log: it
is one file that can be carried away and opened from a read-only disk.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from events.kernel.errors import OutsideError, Where, error_code
from events.sqlite_file import SqliteFile, disk_is_full

if TYPE_CHECKING:
    from pathlib import Path

    from events.sqlite_file import FileKind

COPY_FAILED = error_code("copy-failed", "A copy of a database could not be written, or is not whole.")

_SOUND = [("ok",)]


def copy_database(source: Path, kind: FileKind, target: Path) -> None:
    """Write the file at `source`, which must be there, to `target`, which must not.

    Raises OutsideError `copy-failed`, and what opening a file of that kind raises.
    """
    with closing(_opened(source, kind)) as file, file.reading() as connection:
        try:
            os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            with closing(sqlite3.connect(target, isolation_level=None)) as copy:
                connection.backup(copy)
        except (sqlite3.Error, OSError) as error:
            raise OutsideError(
                COPY_FAILED,
                f"the {kind.noun} cannot be copied",
                where=Where(file=str(target)),
                why=str(error),
                next=f"look at {target.parent}: is it writable, and has its disk room?",
            ) from error


def _opened(source: Path, kind: FileKind) -> SqliteFile:
    """The file; on a full disk, where nothing can be made beside it, for reading only."""
    try:
        return SqliteFile(source, kind)
    except OutsideError as error:
        if not disk_is_full(error, source):
            raise
        return SqliteFile(source, kind, only_read=True)


def settle(path: Path) -> None:
    """Make a copy that nobody has open one file, and check each of its pages and indexes.

    Raises OutsideError `copy-failed`.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
            found = connection.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.Error as error:
        raise _not_whole(path, str(error)) from error
    if found != _SOUND:
        raise _not_whole(path, str(found[0][0]))


def _not_whole(path: Path, why: str) -> OutsideError:
    return OutsideError(COPY_FAILED, "the database is not whole", where=Where(file=str(path)), why=why)
