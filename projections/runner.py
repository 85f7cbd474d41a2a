"""Follows the log into views: page by position, apply, move the checkpoint in the same transaction.

A view is a pure fold: rows made from events and nothing else, no clock, no effect. So `views.db` may go at
any time. It is made anew from the first event when it is damaged, when it belongs to another log (lineage),
when the log does not hold the event that the checkpoint names (a restored copy), and a single view when its
`version` is not the stored one. A page moves the checkpoint past all its events, also those that do not
concern the view, and it moves from the position that was read: of two processes that follow at once one
applies a page and the other reads again. Views that stand at the same place share a page and a transaction.

What a view cannot take is parked with its stream (`parking.py`), and how a page is applied is in
`folding.py`. Who reads folds up to the head first, and answers only if nobody has begun to make the views
anew meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from events.kernel.errors import OutsideError
from events.log import LOG_UNAVAILABLE, EventLog
from projections.folding import Checkpoint, fold_page
from projections.parking import may_be_taken
from projections.view import View
from projections.view_store import (
    VIEWS_UNAVAILABLE,
    ViewsDamagedError,
    ViewsMovedError,
    ViewStore,
    ViewsUnwritableError,
    mend,
)

__all__ = ["View", "catch_up", "fold_on", "nobody", "read_views", "standing"]

PAGE_EVENTS = 1000  # one transaction a page: bounds memory, and what is repeated after a crash
FAR_PAGE_EVENTS = 5000  # of one who is far behind: fewer waits for the disk, some 10 MB
_FAR_EVENTS = 10 * PAGE_EVENTS
_MOST_OPENINGS = 5  # of a file that is replaced again and again
_MOST_READINGS = 5  # of views that others make anew again and again

T = TypeVar("T")
Tell = Callable[[str], None]  # one line for people
Told = Callable[[int, int], None]  # position that was reached, and the one that is aimed at


def nobody(_text: str) -> None:
    """Tell nobody."""


def read_views(
    log: EventLog,
    path: Path,
    views: Sequence[View],
    query: Callable[[sqlite3.Connection], T],
    *,
    tell: Tell = nobody,
) -> T:
    """Fold the log into `views` up to its head and answer what `query` finds; a damaged file is made anew.

    `tell` is told when something is made anew, and why. Where the file cannot be written, on a full disk or
    a read-only one, the fold is made in memory: slower on a long log, and just as right. Raises what
    `fold_on` raises.
    """
    try:
        return _read_or_mend(log, path, views, query, tell)
    except ViewsUnwritableError:
        return _read_views(log, None, views, query, tell)


def _read_or_mend(
    log: EventLog, path: Path, views: Sequence[View], query: Callable[[sqlite3.Connection], T], tell: Tell
) -> T:
    mended = False
    for _ in range(_MOST_OPENINGS):
        try:
            return _read_views(log, path, views, query, tell)
        except ViewsDamagedError:
            if mended:
                raise
            mend(path)
            tell(f"{path.name} was damaged; the views are made anew from the log")
            mended = True
        except ViewsMovedError:
            continue
    raise _restless(f"{path} was replaced {_MOST_OPENINGS} times while it was read")


def _read_views(
    log: EventLog,
    path: Path | None,
    views: Sequence[View],
    query: Callable[[sqlite3.Connection], T],
    tell: Tell,
) -> T:
    with closing(ViewStore(path, lineage=log.lineage)) as store:
        if store.emptied is not None and path is not None:
            tell(f"{path.name} is made anew from the log: {store.emptied}")
        for _ in range(_MOST_READINGS):
            reached = fold_on(log, store, views, tell=tell)
            with store.reading() as tables:
                if all(_stands_at(tables, view, reached[view.name]) for view in views):
                    return query(tables)
    raise _restless("other processes make the views anew again and again")


def _restless(why: str) -> OutsideError:
    return OutsideError(
        VIEWS_UNAVAILABLE, "the views do not come to rest", why=why, next="stagecraft views verify"
    )


def catch_up(log: EventLog, store: ViewStore, view: View, *, page_events: int | None = None) -> int:
    """Fold the log into one view up to its head at this moment, or further; answers the position reached."""
    return fold_on(log, store, [view], page_events=page_events)[view.name]


def fold_on(
    log: EventLog,
    store: ViewStore,
    views: Sequence[View],
    *,
    until: int | None = None,
    page_events: int | None = None,
    tell: Tell = nobody,
    told: Told | None = None,
) -> dict[str, int]:
    """Fold the log into `views` up to a position, its head unless given; answers where each view stands.

    The one that is furthest behind comes first, and those beside it come along. Raises OutsideError
    `views-unavailable` or `log-unavailable`.
    """
    checkpoints = {view.name: _trusted(log, store, view, tell) for view in views}
    head = log.head() if until is None else until
    behind = min((one.position for one in checkpoints.values()), default=head)
    if head - behind > _FAR_EVENTS and told is None:
        tell(f"{head - behind} events are folded into the views first, this once")
    size = page_events or (FAR_PAGE_EVENTS if head - behind > _FAR_EVENTS else PAGE_EVENTS)
    while behind < head:
        ahead = [one.position for one in checkpoints.values() if one.position > behind]
        page = log.read(after=behind, limit=min(size, min([*ahead, head]) - behind))
        if not page:
            raise OutsideError(
                LOG_UNAVAILABLE,
                f"the log has no event behind position {behind}, and its head is {head}",
                next="stagecraft audit verify",
            )
        here = [view for view in views if checkpoints[view.name].position == behind]
        reached = Checkpoint(page[-1].position, str(page[-1].id))
        moved = fold_page(store, here, page, behind=behind, reached=reached)
        checkpoints.update(
            (view.name, reached if view in moved else _prepared(store, view, nobody)) for view in here
        )
        behind = min(one.position for one in checkpoints.values())
        if told is not None:
            told(behind, head)
    return {name: one.position for name, one in checkpoints.items()}


def standing(log: EventLog, store: ViewStore, view: View) -> int | None:
    """Where a view stands; None: it is not there, or the next reader makes it anew. Nothing is changed."""
    with store.reading() as tables:
        found = tables.execute(_CHECKPOINT, (view.name,)).fetchone()
        if found is None or _outdated(tables, view) is not None:
            return None
    checkpoint = Checkpoint(found["position"], found["event_id"])
    return checkpoint.position if _holds(log, checkpoint) else None


def _trusted(log: EventLog, store: ViewStore, view: View, tell: Tell) -> Checkpoint:
    """The view's checkpoint; the view is made anew where its rows cannot be those of this log and version."""
    checkpoint = _prepared(store, view, tell)
    if _holds(log, checkpoint):
        return checkpoint
    tell(f"the view {view.name} is made anew: the log was set back or is another copy")
    with store.writing() as tables:
        _make(tables, view)
    return Checkpoint(0, None)


def _holds(log: EventLog, checkpoint: Checkpoint) -> bool:
    """Whether the log still has the event that the checkpoint names at its position."""
    if checkpoint.position == 0:
        return True
    newest = log.read(after=checkpoint.position - 1, limit=1)
    return [str(event.id) for event in newest] == [checkpoint.event_id]


_CHECKPOINT = "SELECT version, position, event_id FROM checkpoints WHERE view = ?"


def _prepared(store: ViewStore, view: View, tell: Tell) -> Checkpoint:
    """The view's checkpoint; its tables are made, or made anew unless they are what this version makes."""
    with store.reading() as tables:
        why = _outdated(tables, view)
        found = tables.execute(_CHECKPOINT, (view.name,)).fetchone()
    if found is not None and why is None:
        return Checkpoint(found["position"], found["event_id"])
    with store.writing() as tables:
        found = tables.execute(_CHECKPOINT, (view.name,)).fetchone()
        why = _outdated(tables, view)
        if found is None or why is not None:
            if why is not None:
                tell(f"the view {view.name} is made anew from the log: {why}")
            _make(tables, view)
            return Checkpoint(0, None)
        return Checkpoint(found["position"], found["event_id"])


def _outdated(tables: sqlite3.Connection, view: View) -> str | None:
    """Why the rows of a view are not those of this version, None when they are or there are none."""
    found = tables.execute(_CHECKPOINT, (view.name,)).fetchone()
    if found is None:
        return None
    if found["version"] != view.version:
        return f"its version is {view.version}, and {found['version']} was stored"
    if may_be_taken(tables, view.name):
        return "this version of Stagecraft may take events that were parked"
    return None


def _stands_at(tables: sqlite3.Connection, view: View, position: int) -> bool:
    """Whether a view is still there and has not been set back behind a position."""
    found = tables.execute(_CHECKPOINT, (view.name,)).fetchone()
    return found is not None and found["version"] == view.version and found["position"] >= position


def _make(tables: sqlite3.Connection, view: View) -> None:
    """Empty tables, nothing parked and a checkpoint at the start."""
    for name, statement in view.tables.items():
        tables.execute(f'DROP TABLE IF EXISTS "{name}"')
        tables.execute(statement)
    for statement in view.indexes:
        tables.execute(statement)
    tables.execute("DELETE FROM parked WHERE view = ?", (view.name,))
    tables.execute(
        "INSERT OR REPLACE INTO checkpoints (view, version, position, event_id) VALUES (?, ?, 0, NULL)",
        (view.name, view.version),
    )
