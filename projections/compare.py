"""Live views against the log: folded aside from the first event, and compared row by row.

The live file is copied first, by SQLite's own means, so that nobody waits. Each view is then folded up to the
position at which the copy stands, for a view that is behind is no lie: whoever reads it folds the rest.
A view that the next reader makes anew anyhow is named as such and not compared.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from events.log import EventLog
from projections.rebuild import beside
from projections.runner import Told, fold_on, standing
from projections.view import View
from projections.view_store import ViewsDamagedError, ViewStore, connected, translated, turn

Row = dict[str, Any]
_PARKED = (
    "SELECT stream, position, type, schema, at, why, error, events FROM parked WHERE view = ? ORDER BY 1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One view: where it stands, and what its tables are."""

    name: str
    position: int
    digests: dict[str, str]  # by table, `sha256:` of the live rows

    def as_json(self) -> dict[str, Any]:
        """One object of `views`."""
        return {"view": self.name, "position": self.position, "tables": self.digests}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first row that is another one than the fold makes, or a file that cannot be read."""

    detail: str
    view: str | None = None
    table: str | None = None
    live: Row | None = None  # None: the fold has a row that is not there
    fold: Row | None = None

    def as_json(self) -> dict[str, Any]:
        """The object of the key `difference`."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of comparing."""

    compared: tuple[Compared, ...]
    skipped: tuple[str, ...]  # views that are not there, or that the next reader makes anew
    difference: Difference | None

    def as_json(self) -> dict[str, Any]:
        """The object of `views verify --json`; its keys are a published contract."""
        return {
            "ok": self.difference is None,
            "views": [one.as_json() for one in self.compared],
            "skipped": list(self.skipped),
            "difference": None if self.difference is None else self.difference.as_json(),
        }


def compare(log: EventLog, path: Path, views: Sequence[View], *, told: Told | None = None) -> Comparison:
    """Compare the views at `path` with what the log makes them; nothing is changed.

    Raises OutsideError `views-busy`, `views-unavailable` and what the log raises.
    """
    names = tuple(view.name for view in views)
    if not path.exists():
        return Comparison(compared=(), skipped=names, difference=None)
    with beside(path) as (aside, copy):
        try:
            _copy(path, copy)
            return _compare(log, copy, aside, views, told)
        except ViewsDamagedError as error:
            words = Difference(detail=f"{path.name} is damaged: {error.why}")
            return Comparison(compared=(), skipped=names, difference=words)


def _copy(path: Path, copy: Path) -> None:
    with (
        translated(path),
        turn(path, exclusive=False),
        closing(connected(path)) as live,
        closing(connected(copy)) as target,
    ):
        live.backup(target)


def _compare(log: EventLog, copy: Path, aside: Path, views: Sequence[View], told: Told | None) -> Comparison:
    """Fold each view aside up to where its copy stands, and compare the two."""
    compared: list[Compared] = []
    skipped: list[str] = []
    live = ViewStore(copy, lineage=log.lineage, private=True)
    fold = ViewStore(aside, lineage=log.lineage, private=True)
    with closing(live), closing(fold):
        for view in views:
            position = standing(log, live, view)
            if position is None:
                skipped.append(view.name)
                continue
            fold_on(log, fold, [view], until=position, told=told)
            with live.reading() as ours, fold.reading() as theirs:
                found = _view_differs(ours, theirs, view)
                if isinstance(found, Difference):
                    return Comparison(compared=tuple(compared), skipped=tuple(skipped), difference=found)
            compared.append(Compared(name=view.name, position=position, digests=found))
    return Comparison(compared=tuple(compared), skipped=tuple(skipped), difference=None)


def _view_differs(
    live: sqlite3.Connection, fold: sqlite3.Connection, view: View
) -> dict[str, str] | Difference:
    """The digests of a view's tables, or the first row that differs."""
    digests: dict[str, str] = {}
    keys = {table: _key(fold, table) for table in view.tables}
    queries = {table: (_ordered(table, key), ()) for table, key in keys.items()}
    for table, (query, values) in {**queries, "parked": (_PARKED, (view.name,))}.items():
        digest = hashlib.sha256()
        try:
            pairs = zip_longest(_rows(live, query, values), _rows(fold, query, values))
            for ours, theirs in pairs:
                if ours != theirs:
                    return _difference(view, table, ours, theirs, key=keys.get(table, ["stream"]))
                digest.update(repr(ours).encode())
        except sqlite3.OperationalError as error:  # no such table, or one of other columns
            return Difference(view=view.name, table=table, detail=f"{view.name}: {table}: {error}")
        digests[table] = f"sha256:{digest.hexdigest()}"
    return digests


def _rows(tables: sqlite3.Connection, query: str, values: tuple[str, ...]) -> Iterator[Row]:
    for row in tables.execute(query, values):
        yield {name: row[name] for name in row.keys()}  # noqa: SIM118  # a row is no mapping


def _key(tables: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table's primary key, in their order; every table of a view has one."""
    columns = tables.execute(f'PRAGMA table_info("{table}")').fetchall()
    return [row["name"] for row in sorted(columns, key=lambda row: row["pk"]) if row["pk"]]


def _ordered(table: str, key: Sequence[str]) -> str:
    """All of a table by its key."""
    order = ", ".join(f'"{name}"' for name in key)
    return f'SELECT * FROM "{table}" ORDER BY {order}'  # noqa: S608  # names of ours


def _difference(
    view: View, table: str, live: Row | None, fold: Row | None, *, key: Sequence[str]
) -> Difference:
    """Two rows that stand at the same place and are not the same: of other keys the smaller one is alone."""
    if live is not None and fold is not None:
        ours, theirs = ([row[name] for name in key] for row in (live, fold))
        if ours != theirs:
            live, fold = (live, None) if ours < theirs else (None, fold)
    if live is None:
        detail = "a row is missing"
    elif fold is None:
        detail = "there is a row too many"
    else:
        columns = [name for name in live if live[name] != fold.get(name)]
        detail = f"a row differs in {', '.join(columns) or 'its columns'}"
    return Difference(
        view=view.name, table=table, live=live, fold=fold, detail=f"{view.name}: {table}: {detail}"
    )
