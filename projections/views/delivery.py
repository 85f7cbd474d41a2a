"""How changes get to an environment: one row for each Release with its times, for `delivery_figures.py`.

The row says when a Release was requested, begun and ended, how it ended, whether it was taken back later and
by which request, and, for the first completed Release of a commit in this environment, since when the commit
was waiting. That is when it was committed by its own clock where the log has it, else when the log first
spoke of it: when a watched branch showed it, or when it was rendered.

Nothing is counted here: what a failure is and which week it belongs to is a question of reading.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from events.envelope import StoredEvent
from events.kernel.clock import format_utc
from events.streams import split_environment
from projections.view import View

CHANGES = ("deploy", "promotion")  # kinds of Release that bring something new; the others bring back

_KINDS = {
    "DeployRequested": "deploy",
    "RevertDetected": "revert",
    "RollbackRequested": "rollback",
    "AdoptionRequested": "adoption",
}
_VERDICTS = {
    "ReleaseCompleted": "completed",
    "ReleaseFailed": "failed",
    "ReleaseRolledBack": "rolled_back",
    "ReleaseSuperseded": "superseded",
    "ReleaseCancelled": "cancelled",
}

_TABLES = {
    "delivery_commits": """
        CREATE TABLE delivery_commits (revision TEXT PRIMARY KEY, seen_at TEXT NOT NULL, committed_at TEXT)
        WITHOUT ROWID
    """,
    "delivery_reached": """
        CREATE TABLE delivery_reached (
            project TEXT NOT NULL, name TEXT NOT NULL, revision TEXT NOT NULL,
            PRIMARY KEY (project, name, revision)
        ) WITHOUT ROWID
    """,
    "delivery_releases": """
        CREATE TABLE delivery_releases (
            project TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL,
            kind TEXT NOT NULL, revision TEXT, position INTEGER NOT NULL,
            requested_at TEXT NOT NULL, started_at TEXT, ended_at TEXT, ended_position INTEGER,
            status TEXT NOT NULL, waited_since TEXT, taken_back INTEGER,
            PRIMARY KEY (project, name, id)
        ) WITHOUT ROWID
    """,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One Release that has ended."""

    id: str
    kind: str
    position: int  # of its request
    requested_at: str  # times: RFC 3339, UTC
    started_at: str | None  # None: it ended before a controller began
    ended_at: str
    ended_position: int
    status: str
    waited_since: str | None  # since when its commit had waited; None: it was not the first to bring it
    taken_back: int | None  # the position of the request that took it back later


def deliveries(tables: sqlite3.Connection, project: str, name: str, *, since: str) -> list[Delivery]:
    """The Releases of an environment that ended at or after a time (RFC 3339, UTC), and all that ended later.

    In the order of positions: where a clock went back, one that ended later by position may show an earlier
    time.
    """
    columns = ", ".join(Delivery.__slots__)
    rows = tables.execute(
        f"SELECT {columns} FROM delivery_releases"  # noqa: S608  # names of our own fields
        " WHERE project = :project AND name = :name AND ended_position >= ("
        "  SELECT min(ended_position) FROM delivery_releases"
        "  WHERE project = :project AND name = :name AND ended_at >= :since"
        " ) ORDER BY ended_position",
        {"project": project, "name": name, "since": since},
    )
    return [Delivery(**dict(row)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """One event about one environment, and where its consequences go."""

    tables: sqlite3.Connection
    event: StoredEvent
    data: dict[str, Any]
    place: tuple[str, str]

    @property
    def at(self) -> str:
        """When it was recorded."""
        return format_utc(self.event.time)

    def change(self, columns: str, *values: object) -> None:
        """Set columns of the Release that the event names."""
        self.tables.execute(
            f"UPDATE delivery_releases SET {columns} WHERE project = ? AND name = ? AND id = ?",  # noqa: S608  # columns are literals of this module
            (*values, *self.place, self.data["release"]),
        )


def _observed(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    committed: str | None = data.get("committed_at")
    tables.execute(
        "INSERT INTO delivery_commits VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET committed_at = coalesce(committed_at, excluded.committed_at)",
        (data["revision"], format_utc(event.time), committed),
    )


def _rendered(told: _Told) -> None:
    told.tables.execute(
        "INSERT OR IGNORE INTO delivery_commits VALUES (?, ?, NULL)", (told.data["revision"], told.at)
    )


def _requested(told: _Told) -> None:
    data = told.data
    told.tables.execute(
        "INSERT OR IGNORE INTO delivery_releases"
        " VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, 'pending', NULL, NULL)",
        (
            *told.place,
            data["release"],
            _KINDS[told.event.type],
            data["revision"],
            told.event.position,
            told.at,
        ),
    )
    if data.get("reverts"):
        told.tables.execute(
            "UPDATE delivery_releases SET taken_back = ?"
            " WHERE project = ? AND name = ? AND id = ? AND taken_back IS NULL",
            (told.event.position, *told.place, data["reverts"]),
        )


def _started(told: _Told) -> None:
    told.change("started_at = coalesce(started_at, ?)", told.at)


def _ended(told: _Told) -> None:
    verdict = _VERDICTS[told.event.type]
    told.change("status = ?, ended_at = ?, ended_position = ?", verdict, told.at, told.event.position)
    if verdict == "completed":
        _reached(told)


def _reached(told: _Told) -> None:
    """A change has brought a commit here: the first one tells how long the commit had waited."""
    row = told.tables.execute(
        "SELECT revision, kind FROM delivery_releases WHERE project = ? AND name = ? AND id = ?",
        (*told.place, told.data["release"]),
    ).fetchone()
    if row is None or row["revision"] is None or row["kind"] not in CHANGES:
        return
    first = told.tables.execute(
        "INSERT OR IGNORE INTO delivery_reached VALUES (?, ?, ?)", (*told.place, row["revision"])
    )
    commit = told.tables.execute(
        "SELECT coalesce(committed_at, seen_at) AS since FROM delivery_commits WHERE revision = ?",
        (row["revision"],),
    ).fetchone()
    if first.rowcount == 1 and commit is not None:
        told.change("waited_since = ?", commit["since"])


_HANDLERS: dict[str, Callable[[_Told], None]] = {
    "ManifestRendered": _rendered,
    **dict.fromkeys(_KINDS, _requested),
    "ReleaseStarted": _started,
    **dict.fromkeys(_VERDICTS, _ended),
}
_OBSERVED = "RevisionObserved"


def _apply(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    if event.type == _OBSERVED:
        _observed(tables, event, data)
        return
    place = split_environment(event.stream)
    if place is not None:
        _HANDLERS[event.type](_Told(tables=tables, event=event, data=data, place=place))


DELIVERY = View(
    name="delivery", version=1, tables=_TABLES, concerns=frozenset({*_HANDLERS, _OBSERVED}), apply=_apply
)
