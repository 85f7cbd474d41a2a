"""Follows the log into views: page by position, apply, move the checkpoint in the same transaction.

A view is a pure fold: rows made from events and nothing else, no clock, no effect. So `views.db` may go at
any time. It is made anew from the first event when it is damaged, when it belongs to another log (lineage),
when the log does not hold the event that the checkpoint names (a restored copy), and a single view when its
`version` is not the stored one. A page moves the checkpoint past all its events, also those that do not
concern the view, and it moves from the position that was read: of two processes that follow at once one
applies a page and the other reads again.

Views built aside and flipped were left out until a rebuild takes longer than anybody wants to wait.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from events.envelope import StoredEvent
from events.kernel.errors import InternalError, error_code
from events.log import EventLog
from projections.view_store import ViewsDamagedError, ViewStore, ViewsUnwritableError, mend

VIEW_BROKEN = error_code("view-broken", "A view cannot take an event of the log: a bug, or a damaged log.")

PAGE_EVENTS = 1000  # one transaction a page: bounds memory, and what is repeated after a crash
_BAD_DATA = (KeyError, ValueError, TypeError, AttributeError)
_REFUSED_ROWS = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError)

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


def read_views(
    log: EventLog, path: Path, views: Sequence[View], query: Callable[[sqlite3.Connection], T]
) -> T:
    """Fold the log into `views` up to its head and answer what `query` finds; a damaged file is made anew.

    Where the file cannot be written, on a full disk or a read-only one, the fold is made in memory: slower
    on a long log, and just as right. Raises what `catch_up` raises.
    """
    try:
        return _read_or_mend(log, path, views, query)
    except ViewsUnwritableError:
        return _read_views(log, None, views, query)


def _read_or_mend(
    log: EventLog, path: Path, views: Sequence[View], query: Callable[[sqlite3.Connection], T]
) -> T:
    try:
        return _read_views(log, path, views, query)
    except ViewsDamagedError:
        mend(path)
        return _read_views(log, path, views, query)


def _read_views(
    log: EventLog, path: Path | None, views: Sequence[View], query: Callable[[sqlite3.Connection], T]
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
