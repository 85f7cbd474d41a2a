"""The smallest view there is: which events it was given; and logs that have some for it."""

from __future__ import annotations

import sqlite3
from typing import Any

from events.envelope import StoredEvent
from projections.runner import View
from tests.unit.projections.views.history import History


def count(tables: sqlite3.Connection, event: StoredEvent, _data: dict[str, Any]) -> None:
    """The fold of `SEEN`."""
    tables.execute("INSERT INTO seen VALUES (?, ?)", (event.position, event.type))


SEEN = View(
    name="seen",
    version=1,
    tables={"seen": "CREATE TABLE seen (position INTEGER PRIMARY KEY, type TEXT)"},
    concerns=frozenset({"DeployRequested", "ReleaseStarted"}),
    apply=count,
)


def positions(tables: sqlite3.Connection) -> list[int]:
    """Of the events that `SEEN` was given."""
    return [row["position"] for row in tables.execute("SELECT position FROM seen ORDER BY position")]


def write(history: History, times: int = 1) -> None:
    """Two events a time: one that `SEEN` is about and one that it is not."""
    for _ in range(times):
        history.requested("a")
        history.suspended()
