"""The history of Releases: one row each from its request to its verdict, with phases and images.

A Release is pending when it was requested, running when a controller began, and ends with its verdict. Its
version, commit and `previous_id` are those of the request: what was deployed when it was decided, which may
differ from what was deployed when it ran. The images of a Release are those of its Manifest, which this
environment recorded before it was requested.

The fold reads `json.loads` of what is stored and no event class: the catalogue costs a command more than
the rest of a query. Keys that a newer version added are passed over; a key that a class has always had must
be there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from events.envelope import StoredEvent
from events.kernel.clock import format_utc
from events.streams import split_environment
from projections.view import View

PHASE_NAMES = ("build", "push", "migrate_pre", "rollout", "migrate_post", "finalize")

_KINDS = {
    "DeployRequested": "deploy",
    "RevertDetected": "revert",
    "RollbackRequested": "rollback",
    "AdoptionRequested": "adoption",
}
_VERDICTS = {
    "ReleaseStarted": "running",
    "ReleaseCompleted": "completed",
    "ReleaseFailed": "failed",
    "ReleaseRolledBack": "rolled_back",
    "ReleaseSuperseded": "superseded",
    "ReleaseCancelled": "cancelled",
}
_PHASE_STATUS = {
    "PhaseStarted": "running",
    "PhaseCompleted": "completed",
    "PhaseFailed": "failed",
    "PhaseSkipped": "skipped",
}

_TABLES = {
    "releases": """
        CREATE TABLE releases (
            id TEXT PRIMARY KEY,
            position INTEGER NOT NULL,
            project TEXT NOT NULL,
            environment TEXT NOT NULL,
            version TEXT NOT NULL,
            revision TEXT,
            digest TEXT NOT NULL,
            created_at TEXT NOT NULL,
            status TEXT NOT NULL,
            previous_id TEXT,
            kind TEXT NOT NULL,
            reverts TEXT,
            retry_of TEXT,
            failure TEXT
        ) WITHOUT ROWID
    """,
    "release_phases": """
        CREATE TABLE release_phases (
            release TEXT NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL, detail TEXT NOT NULL,
            PRIMARY KEY (release, name)
        ) WITHOUT ROWID
    """,
    "release_images": """
        CREATE TABLE release_images (
            project TEXT NOT NULL, environment TEXT NOT NULL, digest TEXT NOT NULL, images TEXT NOT NULL,
            PRIMARY KEY (project, environment, digest)
        ) WITHOUT ROWID
    """,
}

_INDEXES = (
    "CREATE INDEX releases_by_position ON releases (position)",
    "CREATE INDEX releases_of_an_environment ON releases (project, environment, position)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One line of the history."""

    id: str
    project: str
    environment: str  # the name without the project
    version: str
    revision: str | None
    digest: str
    created_at: str  # RFC 3339, UTC, milliseconds
    status: str
    previous_id: str | None
    kind: str

    def as_json(self) -> dict[str, Any]:
        """The object of `releases list --json`; its keys are a published contract."""
        return {
            "id": self.id,
            "project": self.project,
            "environment": self.environment,
            "version": self.version,
            "revision": self.revision,
            "digest": self.digest,
            "created_at": self.created_at,
            "status": self.status,
            "previous_id": self.previous_id,
            "kind": self.kind,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One of the six steps of a Release."""

    name: str
    status: str  # pending, running, completed, failed, skipped
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseDetail:
    """Everything known of one Release."""

    release: Release
    phases: tuple[Phase, ...]  # all six, in order
    images: dict[str, dict[str, str]]  # {service: {ref, pin, pin_kind}}, sorted by service
    reverts: str | None  # the Release that this one took back
    retry_of: str | None  # the failed Release that this one repeats
    failure: dict[str, Any] | None  # the fields of `events.catalog.Failure`

    def as_json(self) -> dict[str, Any]:
        """The object of `releases show --json`; its keys are a published contract."""
        return {
            **self.release.as_json(),
            "phases": [{"name": one.name, "status": one.status, "detail": one.detail} for one in self.phases],
            "images": self.images,
            "reverts": self.reverts,
            "retry_of": self.retry_of,
        }


def list_releases(
    tables: sqlite3.Connection,
    *,
    environments: Iterable[tuple[str, str]] | None = None,
    limit: int | None = None,
) -> list[Release]:
    """Releases, newest first; of these `(project, name)` environments only, or of all; at most `limit`."""
    most = -1 if limit is None else limit
    if environments is None:
        rows = tables.execute("SELECT * FROM releases ORDER BY position DESC LIMIT ?", (most,)).fetchall()
        return [_release(row) for row in rows]
    query = "SELECT * FROM releases WHERE project = ? AND environment = ? ORDER BY position DESC LIMIT ?"
    found = [row for place in set(environments) for row in tables.execute(query, (*place, most))]
    newest = sorted(found, key=lambda row: row["position"], reverse=True)
    return [_release(row) for row in newest[:limit]]


def find_release(tables: sqlite3.Connection, release_id: str) -> ReleaseDetail | None:
    """One Release, None when there is none of this id."""
    row = tables.execute("SELECT * FROM releases WHERE id = ?", (release_id,)).fetchone()
    if row is None:
        return None
    images = tables.execute(
        "SELECT images FROM release_images WHERE project = ? AND environment = ? AND digest = ?",
        (row["project"], row["environment"], row["digest"]),
    ).fetchone()
    return ReleaseDetail(
        release=_release(row),
        phases=_phases(tables, release_id),
        images={} if images is None else json.loads(images["images"]),
        reverts=row["reverts"],
        retry_of=row["retry_of"],
        failure=None if row["failure"] is None else json.loads(row["failure"]),
    )


def _release(row: sqlite3.Row) -> Release:
    return Release(**{name: row[name] for name in Release.__slots__})


def _phases(tables: sqlite3.Connection, release_id: str) -> tuple[Phase, ...]:
    rows = tables.execute("SELECT name, status, detail FROM release_phases WHERE release = ?", (release_id,))
    known = {row["name"]: Phase(name=row["name"], status=row["status"], detail=row["detail"]) for row in rows}
    return tuple(known.get(name, Phase(name=name, status="pending", detail="")) for name in PHASE_NAMES)


def _rendered(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    place = split_environment(event.stream)
    if place is not None:
        images = {service: dict(data["images"][service]) for service in sorted(data["images"])}
        tables.execute(
            "INSERT OR REPLACE INTO release_images VALUES (?, ?, ?, ?)",
            (*place, data["digest"], json.dumps(images)),
        )


def _requested(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    place = split_environment(event.stream)
    if place is None:
        return
    tables.execute(
        "INSERT OR IGNORE INTO releases VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?, NULL)",
        (
            data["release"],
            event.position,
            *place,
            data["version"],
            data["revision"],
            data["digest"],
            format_utc(event.time),
            data["previous"],
            _KINDS[event.type],
            data.get("reverts"),
            data.get("retry_of"),
        ),
    )


def _verdict(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    failure = data.get("failure")
    tables.execute(
        "UPDATE releases SET status = ?, failure = ? WHERE id = ?",
        (_VERDICTS[event.type], None if failure is None else json.dumps(failure), data["release"]),
    )
    if event.type == "ReleaseSuperseded":  # the phase in which a newer one ended its wait goes no further
        skip = "UPDATE release_phases SET status = 'skipped', detail = ? WHERE release = ? AND status = ?"
        tables.execute(skip, (f"superseded by {data['by']}", data["release"], "running"))


def _phase(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    _kind, _, release_id = event.stream.partition("/")
    detail: str = data.get("detail") or data.get("reason") or data.get("failure", {}).get("message", "")
    tables.execute(
        "INSERT OR REPLACE INTO release_phases VALUES (?, ?, ?, ?)",
        (release_id, data["phase"], _PHASE_STATUS[event.type], detail),
    )


_HANDLERS: dict[str, Callable[[sqlite3.Connection, StoredEvent, dict[str, Any]], None]] = {
    "ManifestRendered": _rendered,
    **dict.fromkeys(_KINDS, _requested),
    **dict.fromkeys(_VERDICTS, _verdict),
    **dict.fromkeys(_PHASE_STATUS, _phase),
}


def _apply(tables: sqlite3.Connection, event: StoredEvent) -> None:
    _HANDLERS[event.type](tables, event, json.loads(event.data))


RELEASES = View(
    name="releases",
    version=4,
    tables=_TABLES,
    indexes=_INDEXES,
    concerns=frozenset(_HANDLERS),
    apply=_apply,
)
