"""One page of events into the rows of views: taken by their folds, or parked.

A fold is given events in the newest schema that this version knows. A page in which a fold fails is rolled
back as a whole and applied once more with each event by itself; an event that fails again is parked with its
stream and leaves no other trace. A savepoint around each event at all times was dropped: it costs a fifth of
a rebuild, for what does not happen.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from events.envelope import StoredEvent
from events.kernel.errors import StagecraftError
from events.schemas import illegible
from events.upcast import current
from projections.parking import Why, park, parked_streams, wait_with
from projections.view import View
from projections.view_store import MISTAKES, ViewStore, primary_code

_JSON = json.JSONDecoder()

_Apply = Callable[[sqlite3.Connection, View, "_Opened"], bool]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a view has come."""

    position: int  # 0: nothing applied yet
    event_id: str | None  # of the event at `position`


class _Opened:
    """An event of a page, brought to the newest schema and decoded once for all views that take it."""

    __slots__ = ("_opened", "stored")

    def __init__(self, stored: StoredEvent) -> None:
        self.stored = stored
        self._opened: tuple[StoredEvent, dict[str, Any]] | None = None

    def open(self) -> tuple[StoredEvent, dict[str, Any]]:
        """The event and its data. Raises what decoding raises, for each view anew."""
        if self._opened is None:
            event = current(self.stored)
            self._opened = event, _JSON.decode(event.data.decode())
        return self._opened


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
        _fold(tables, moved, page, apply)
    return moved


def _move(tables: sqlite3.Connection, view: View, behind: int, reached: Checkpoint) -> bool:
    changed = tables.execute(
        "UPDATE checkpoints SET position = ?, event_id = ? WHERE view = ? AND version = ? AND position = ?",
        (reached.position, reached.event_id, view.name, view.version, behind),
    )
    return changed.rowcount == 1


def _fold(
    tables: sqlite3.Connection, views: Sequence[View], page: Sequence[StoredEvent], apply: _Apply
) -> None:
    parked = {view.name: parked_streams(tables, view.name) for view in views}
    concerned = _by_type(views)
    for event in page:
        why, opened, takers = illegible(event), _Opened(event), concerned.get(event.type, ())
        for view in takers:  # also of a type that a view knows by itself
            if why == "newer-schema" or event.stream in parked[view.name]:
                _leave(tables, view, event, why, parked[view.name])
            elif not apply(tables, view, opened):
                parked[view.name].add(event.stream)
        if why == "unknown-type":  # what it means to the other views is not known
            for view in views:
                if view not in takers:
                    _leave(tables, view, event, why, parked[view.name])


def _by_type(views: Sequence[View]) -> dict[str, list[View]]:
    """The views that an event of each type concerns."""
    found: dict[str, list[View]] = {}
    for view in views:
        for type_name in view.concerns:
            found.setdefault(type_name, []).append(view)
    return found


def _leave(
    tables: sqlite3.Connection, view: View, event: StoredEvent, why: Why | None, parked: set[str]
) -> None:
    """Do not let a view take an event: it waits with its stream, or its stream begins to wait with it."""
    if event.stream in parked:
        wait_with(tables, view.name, event)
    elif why is not None:
        park(tables, view.name, event, why=why)
        parked.add(event.stream)


def _apply(tables: sqlite3.Connection, view: View, opened: _Opened) -> bool:
    """Let the fold take an event. Raises _PoisonedError when it fails, whatever its mistake is."""
    try:
        view.apply(tables, *opened.open())
    except (OSError, MemoryError, StagecraftError):
        raise
    except sqlite3.Error as error:
        if primary_code(error) not in MISTAKES:
            raise
        raise _PoisonedError(f"{type(error).__name__}: {error}") from error
    except Exception as error:
        raise _PoisonedError(f"{type(error).__name__}: {error}") from error
    return True


def _apply_or_park(tables: sqlite3.Connection, view: View, opened: _Opened) -> bool:
    """Let the fold take an event, or leave no trace of it but that it is parked; whether it was taken."""
    tables.execute("SAVEPOINT one_event")
    try:
        taken = _apply(tables, view, opened)
    except _PoisonedError as error:
        tables.execute("ROLLBACK TO one_event")
        park(tables, view.name, opened.stored, why="failed", error=str(error))
        taken = False
    tables.execute("RELEASE one_event")
    return taken
