"""A view: a pure fold of the log into tables of its own, declared once by whoever reads them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from events.envelope import StoredEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A fold of the log into tables."""

    name: str
    version: int  # of the fold and its tables together; another one than stored: rebuilt
    tables: Mapping[str, str]  # {table: the statement that makes it}
    concerns: frozenset[str]  # event types that `apply` is called with
    apply: Callable[[sqlite3.Connection, StoredEvent], None]
    indexes: Sequence[str] = ()  # statements that make indexes of the tables
