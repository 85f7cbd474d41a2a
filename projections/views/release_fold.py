"""From events to the rows about Releases, which `releases.py` reads.

The fold reads `json.loads` of what is stored and no event class: the catalogue costs a command more than
the rest of a query. Keys that a newer version added are passed over; a key that a class has always had must
be there.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from events.envelope import StoredEvent
from events.kernel.clock import format_utc
from events.streams import split_environment
from projections.view import Handler, view_by_type

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
PHASE_STATUS = {
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
            failure TEXT,
            scope TEXT NOT NULL,
            hosts TEXT NOT NULL,
            traffic TEXT,
            started_position INTEGER,
            ended_position INTEGER
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
        "INSERT OR IGNORE INTO releases"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?, NULL, ?, '{}', NULL, NULL, NULL)",
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
            json.dumps(data.get("scope", [])),
        ),
    )


def _verdict(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    failure, traffic = data.get("failure"), data.get("traffic")
    moved = "started_position" if event.type == "ReleaseStarted" else "ended_position"
    tables.execute(
        f"UPDATE releases SET status = ?, failure = ?, hosts = ?, traffic = ?, {moved} = ? WHERE id = ?",  # noqa: S608  # one of two columns
        (
            _VERDICTS[event.type],
            None if failure is None else json.dumps(failure),
            json.dumps(data.get("hosts", {}), sort_keys=True),
            None if traffic is None else json.dumps(traffic),
            event.position,
            data["release"],
        ),
    )
    if event.type == "ReleaseSuperseded":  # the phase in which a newer one ended its wait goes no further
        skip = "UPDATE release_phases SET status = 'skipped', detail = ? WHERE release = ? AND status = ?"
        tables.execute(skip, (f"superseded by {data['by']}", data["release"], "running"))


def _phase(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    _kind, _, release_id = event.stream.partition("/")
    tables.execute(
        "INSERT OR REPLACE INTO release_phases VALUES (?, ?, ?, ?)",
        (release_id, data["phase"], PHASE_STATUS[event.type], phase_detail(data)),
    )


def phase_detail(data: dict[str, Any]) -> str:
    """What a phase's event says of it for people."""
    said: str = data.get("detail") or data.get("reason") or data.get("failure", {}).get("message", "")
    return said


_HANDLERS: dict[str, Handler] = {
    "ManifestRendered": _rendered,
    **dict.fromkeys(_KINDS, _requested),
    **dict.fromkeys(_VERDICTS, _verdict),
    **dict.fromkeys(PHASE_STATUS, _phase),
}


RELEASES = view_by_type(_HANDLERS, name="releases", version=7, tables=_TABLES, indexes=_INDEXES)
