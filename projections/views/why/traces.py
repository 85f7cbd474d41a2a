"""Where the log speaks of a word that a person may know: services, containers, Releases, commits.

The rows say which environment and which Release a word belongs to, and where the events stand that an answer
needs; the answer itself is read from these. A commit that a watched branch showed concerns many environments:
one row names the event, which lists them. Of what a branch showed, an answer about an environment needs what
changed it or left it out, which is a small part of a long history.

Rows of containers stand in the order in which they came: their ids are in none, and wide rows that are
ordered by them would be moved about with each that comes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from events.envelope import StoredEvent
from events.streams import split_environment
from projections.view import Handler, view_by_type

_TABLES = {
    "trace_releases": """
        CREATE TABLE trace_releases (
            id TEXT PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL
        ) WITHOUT ROWID
    """,
    "trace_revisions": """
        CREATE TABLE trace_revisions (
            revision TEXT NOT NULL,
            project TEXT NOT NULL,  -- empty: a watched branch showed it, see the event
            name TEXT NOT NULL,
            position INTEGER NOT NULL,
            PRIMARY KEY (revision, project, name, position)
        ) WITHOUT ROWID
    """,
    "trace_services": """
        CREATE TABLE trace_services (
            service TEXT NOT NULL, project TEXT NOT NULL, name TEXT NOT NULL, host TEXT NOT NULL,
            PRIMARY KEY (service, project, name, host)
        ) WITHOUT ROWID
    """,
    "trace_containers": """
        CREATE TABLE trace_containers (
            container TEXT NOT NULL,
            position INTEGER NOT NULL,
            project TEXT NOT NULL,
            name TEXT NOT NULL,
            host TEXT NOT NULL,
            service TEXT NOT NULL,
            release TEXT NOT NULL,
            came INTEGER NOT NULL,  -- 0: it went; 1: it came, or stayed and was told of files
            PRIMARY KEY (container, position, came)
        )
    """,
    "trace_sightings": """
        CREATE TABLE trace_sightings (
            project TEXT NOT NULL, name TEXT NOT NULL, position INTEGER NOT NULL,
            PRIMARY KEY (project, name, position)
        ) WITHOUT ROWID
    """,
}
_INDEXES = (
    """
    CREATE INDEX trace_containers_of_a_service
    ON trace_containers (service, project, name, position, came DESC)
    """,
)


def _observed(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    _add_revision(tables, data["revision"], ("", ""), event.position)
    for environment in data.get("affected", ()):
        _add_sighting(tables, environment, event.position)


def _left_out(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    _add_revision(tables, data["revision"], ("", ""), event.position)
    _add_sighting(tables, data["environment"], event.position)


def _add_sighting(tables: sqlite3.Connection, environment: str, position: int) -> None:
    project, _, name = environment.partition("/")
    tables.execute("INSERT OR IGNORE INTO trace_sightings VALUES (?, ?, ?)", (project, name, position))


def _named(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    """An environment's event that names a commit; the first one is enough to know that it concerns it."""
    place = split_environment(event.stream)
    revision = data.get("revision")
    if place is None or revision is None:
        return
    query = "SELECT 1 FROM trace_revisions WHERE revision = ? AND project = ? AND name = ?"
    if tables.execute(query, (revision, *place)).fetchone() is None:
        _add_revision(tables, revision, place, event.position)


def _add_revision(tables: sqlite3.Connection, revision: str, place: tuple[str, str], position: int) -> None:
    row = (revision, *place, position)
    tables.execute("INSERT OR IGNORE INTO trace_revisions VALUES (?, ?, ?, ?)", row)


def _rendered(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    _named(tables, event, data)
    place = split_environment(event.stream)
    if place is not None:
        for host, services in data["services"].items():
            _add_services(tables, services, place, host)


def _add_services(
    tables: sqlite3.Connection, services: Iterable[str], place: tuple[str, str], host: str
) -> None:
    rows = [(service, *place, host) for service in services if service]
    tables.executemany("INSERT OR IGNORE INTO trace_services VALUES (?, ?, ?, ?)", rows)


def _requested(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    _named(tables, event, data)
    place = split_environment(event.stream)
    if place is not None:
        tables.execute("INSERT OR IGNORE INTO trace_releases VALUES (?, ?, ?)", (data["release"], *place))


def _replaced(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    _in_release(tables, event, data, came=data["new_ids"], went=data["old_ids"])


def _started_beside(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    _in_release(tables, event, data, came=data["new_ids"])


def _withdrawn(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    _in_release(tables, event, data, went=data["containers"])


def _reloaded(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    """Containers that stayed: an answer about them needs this Release too."""
    _in_release(tables, event, data, came=data["containers"])


def _in_release(
    tables: sqlite3.Connection,
    event: StoredEvent,
    data: dict[str, Any],
    *,
    came: Sequence[str] = (),
    went: Sequence[str] = (),
) -> None:
    """Containers that an event of a Release's own stream names."""
    release = event.stream.partition("/")[2]
    query = "SELECT project, name FROM trace_releases WHERE id = ?"
    found = tables.execute(query, (release,)).fetchone()
    if found is not None:
        place = (found["project"], found["name"])
        _add_containers(tables, event, data, place=place, release=release, came=came, went=went)


def _adopted(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    _brought(tables, event, data, came=data["containers"])


def _job_ended(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    """A run came, and it counts as nothing that stayed."""
    _brought(tables, event, data, came=[data["container"]], went=[data["container"]])


def _brought(
    tables: sqlite3.Connection,
    event: StoredEvent,
    data: dict[str, Any],
    *,
    came: Sequence[str],
    went: Sequence[str] = (),
) -> None:
    place = split_environment(event.stream)
    if place is not None:
        _add_containers(tables, event, data, place=place, release=data["release"], came=came, went=went)


def _add_containers(
    tables: sqlite3.Connection,
    event: StoredEvent,
    data: dict[str, Any],
    *,
    place: tuple[str, str],
    release: str,
    came: Sequence[str],
    went: Sequence[str],
) -> None:
    host, service = data["host"], data["service"]
    _add_services(tables, [service], place, host)
    rows = [
        (one, event.position, *place, host, service, release, there)
        for there, ids in ((1, came), (0, went))
        for one in ids
        if one
    ]
    tables.executemany("INSERT OR IGNORE INTO trace_containers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


_HANDLERS: dict[str, Handler] = {
    "RevisionObserved": _observed,
    "RevisionRejected": _observed,
    "EnvironmentLeftOut": _left_out,
    "ManifestRendered": _rendered,
    "RenderFailed": _named,
    "ImageAwaited": _named,
    "DeploySkipped": _named,
    "DeployDeferred": _named,
    "DeployRefused": _named,
    "HoldCleared": _named,
    "DeployRequested": _requested,
    "RevertDetected": _requested,
    "RollbackRequested": _requested,
    "AdoptionRequested": _requested,
    "ServiceReplaced": _replaced,
    "ServiceStartedBeside": _started_beside,
    "ServiceWithdrawn": _withdrawn,
    "ServiceReloaded": _reloaded,
    "ServiceAdopted": _adopted,
    "JobCompleted": _job_ended,
    "JobFailed": _job_ended,
}


TRACES = view_by_type(_HANDLERS, name="traces", version=3, tables=_TABLES, indexes=_INDEXES)
