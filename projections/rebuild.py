"""All views made anew beside the live ones, and put in their place in one step.

The fold goes into a file of its own, so the views that people read stay as they are, and a process that is
killed leaves them so; the next rebuild throws away what it left. The step is a rename under the exclusive
lock of the live file: nobody is within a transaction of it then, so no journal of the old file can be taken
for one of the new one. Who has the old file open reads on in it, and is told to open it again on writing.
Tables of another name in the same file were dropped: each fold would have to name its tables by a
parameter, and the file would stay twice as large.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from events.kernel.errors import OutsideError, error_code
from events.log import EventLog
from projections.runner import Told, fold_on
from projections.view import View
from projections.view_store import ViewStore, connected, is_damage, locked, sync, translated, turn

VIEWS_BUSY = error_code("views-busy", "Another process makes the views anew, or compares them, now.")

_ASIDE = ".aside"
_COPY = ".aside-live"
_ONE = ".aside.lock"  # held by the one process that has files there
_MOST_ROUNDS = 3  # after the first: what was appended meanwhile; readers fold the rest


def rebuild(log: EventLog, path: Path, views: Sequence[View], *, told: Told | None = None) -> int:
    """Make `views` anew from the first event and put them in the place of those at `path`.

    Answers the position they stand at. Raises OutsideError `views-busy`, `views-unavailable` and what the log
    raises; the live views are as they were then.
    """
    with beside(path) as (aside, _):
        store = ViewStore(aside, lineage=log.lineage, private=True)
        try:
            reached = 0
            for _ in range(1 + _MOST_ROUNDS):
                reached = min(fold_on(log, store, views, told=told).values())
                if reached >= log.head():
                    break
        finally:
            store.close()
        with translated(aside):
            sync(aside)
        _flip(aside, path)
    return reached


@contextmanager
def beside(path: Path) -> Generator[tuple[Path, Path]]:
    """Places for two files beside the live one, for one process at a time; what is there goes afterwards.

    The first is for a fold, the second for a copy of the live file.
    """
    aside, copy = path.with_name(path.name + _ASIDE), path.with_name(path.name + _COPY)
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with locked(path.with_name(path.name + _ONE)):
            _remove(aside, copy)
            try:
                yield aside, copy
            finally:
                _remove(aside, copy)
    except TimeoutError as error:
        raise OutsideError(
            VIEWS_BUSY, "the views are made anew, or compared, by another process now", why=str(error)
        ) from error


def _flip(aside: Path, path: Path) -> None:
    """Put the file `aside` in the place of `path`, when nobody is within a transaction of the latter."""
    with translated(path), turn(path, exclusive=True):
        try:
            _replace(aside, path)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            _remove(path)  # its journal too, which belongs to no other file
            _replace(aside, path)
        sync(path.parent)


def _replace(aside: Path, path: Path) -> None:
    with closing(connected(path)) as live:
        live.execute("BEGIN EXCLUSIVE")
        live.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()  # a file that is no database says so
        aside.replace(path)
        live.rollback()


def _remove(*files: Path) -> None:
    for file in files:
        for suffix in ("-journal", ""):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
