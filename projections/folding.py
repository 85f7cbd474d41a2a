"""One page of events into the rows of views: taken by their folds, or parked.

A fold is given events in the newest schema that this version knows. A page in which a fold fails is rolled
back as a whole and applied once more with each event by itself; an event that fails again is parked with its
stream and leaves no other trace. A savepoint around each event at all times was dropped: it costs a fifth of
a rebuild, for what does not happen.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from events.envelope import StoredEvent
from events.kernel.errors import StagecraftError
from events.schemas import illegible
from events.upcast import current
from projections.parking import Why, park, parked_streams, wait_with
from projections.view import View
from projections.view_store import MISTAKES, ViewStore, primary_code

_Apply = Callable[[sqlite3.Connection, View, StoredEvent], bool]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a view has come."""

    position: int  # 0: nothing applied yet
    event_id: str | None  # of the event at `position`


class _PoisonedError(Exception):
    """A fold failed; its cause says how."""


def fold_page(
    store: ViewStore, views: Sequence[View], page: Sequence[StoredEvent], *, behind: int, reached: Checkpoint
) -> list[View]:
    """Apply a page to views that stand at `behind` and move their checkpoints with it, in one transaction.

    Answers the views that were moved: of the others somebody else has moved the checkpoint.
    """
    try:
        return _write(store, views, page, behind=behind, reached=reached, apply=_apply)
    except _PoisonedError:
        return _write(store, views, page, behind=behind, reached=reached, apply=_apply_or_park)


def _write(
    store: ViewStore,
    views: Sequence[View],
    page: Sequence[StoredEvent],
    *,
    behind: int,
    reached: Checkpoint,
    apply: _Apply,
) -> list[View]:
    with store.writing() as tables:
        moved = [view for view in views if _move(tables, view, behind, reached)]
        for view in moved:
            _fold(tables, view, page, apply)
    return moved


def _move(tables: sqlite3.Connection, view: View, behind: int, reached: Checkpoint) -> bool:
    changed = tables.execute(
        "UPDATE checkpoints SET position = ?, event_id = ? WHERE view = ? AND version = ? AND position = ?",
        (reached.position, reached.event_id, view.name, view.version, behind),
    )
    return changed.rowcount == 1


def _fold(tables: sqlite3.Connection, view: View, page: Sequence[StoredEvent], apply: _Apply) -> None:
    parked = parked_streams(tables, view.name)
    for event in page:
        why = _unreadable(view, event)
        if event.stream in parked:
            if why is not None or event.type in view.concerns:
                wait_with(tables, view.name, event)
        elif why is not None:
            park(tables, view.name, event, why=why)
            parked.add(event.stream)
        elif event.type in view.concerns and not apply(tables, view, event):
            parked.add(event.stream)


def _unreadable(view: View, event: StoredEvent) -> Why | None:
    """Why a view cannot know what an event means to it; a type that it knows by itself is known."""
    why = illegible(event)
    if why == "newer-schema":
        return why if event.type in view.concerns else None
    return why if event.type not in view.concerns else None


def _apply(tables: sqlite3.Connection, view: View, event: StoredEvent) -> bool:
    """Let the fold take an event. Raises _PoisonedError when it fails, whatever its mistake is."""
    try:
        view.apply(tables, current(event))
    except (OSError, MemoryError, StagecraftError):
        raise
    except sqlite3.Error as error:
        if primary_code(error) not in MISTAKES:
            raise
        raise _PoisonedError(f"{type(error).__name__}: {error}") from error
    except Exception as error:
        raise _PoisonedError(f"{type(error).__name__}: {error}") from error
    return True


def _apply_or_park(tables: sqlite3.Connection, view: View, event: StoredEvent) -> bool:
    """Let the fold take an event, or leave no trace of it but that it is parked; whether it was taken."""
    tables.execute("SAVEPOINT one_event")
    try:
        taken = _apply(tables, view, event)
    except _PoisonedError as error:
        tables.execute("ROLLBACK TO one_event")
        park(tables, view.name, event, why="failed", error=str(error))
        taken = False
    tables.execute("RELEASE one_event")
    return taken
