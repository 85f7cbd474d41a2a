"""A view: a pure fold of the log into tables of its own, declared once by whoever reads them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from events.envelope import StoredEvent

Handler = Callable[[sqlite3.Connection, StoredEvent, dict[str, Any]], None]
"""Called with the tables, an event in the newest schema, and its data, which all views share: read only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A fold of the log into tables."""

    name: str
    version: int  # of the fold and its tables together; another one than stored: rebuilt
    tables: Mapping[str, str]  # {table: the statement that makes it}
    concerns: frozenset[str]  # event types that `apply` is called with
    apply: Handler
    indexes: Sequence[str] = ()  # statements that make indexes of the tables


def view_by_type(
    handlers: Mapping[str, Handler],
    *,
    name: str,
    version: int,
    tables: Mapping[str, str],
    indexes: Sequence[str] = (),
) -> View:
    """The view in which each event goes to the handler of its type; `handlers` are by event type."""

    def apply(connection: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
        handlers[event.type](connection, event, data)

    return View(
        name=name,
        version=version,
        tables=tables,
        concerns=frozenset(handlers),
        apply=apply,
        indexes=indexes,
    )
