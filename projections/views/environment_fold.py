"""From events to the rows about environments, which `environments.py` reads.

Git "shows" a Manifest by a decision about it (a request, a revert, a skip, a deferral), not by its render
alone: a person's `deploy --rev` renders too. For the same reason a render tells which commit is newest only
while no watched branch does.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from events.envelope import StoredEvent
from events.kernel.clock import format_utc
from events.streams import split_environment
from projections.runner import View

_TABLES = {
    "environments": """
        CREATE TABLE environments (
            project TEXT NOT NULL,
            name TEXT NOT NULL,
            watched INTEGER NOT NULL DEFAULT 0,
            revision TEXT,
            revision_at TEXT,
            git_digest TEXT,
            asked_digest TEXT,
            failed_revision TEXT,
            render_failure TEXT,
            awaiting TEXT,
            deployed_release TEXT,
            active_release TEXT,
            hold TEXT,
            suspended TEXT,
            breaker TEXT,
            orphaned TEXT,
            destroying TEXT,
            destroyed TEXT,
            unpruned TEXT,
            PRIMARY KEY (project, name)
        ) WITHOUT ROWID
    """,
    "environment_releases": """
        CREATE TABLE environment_releases (
            project TEXT NOT NULL,
            name TEXT NOT NULL,
            id TEXT NOT NULL,
            position INTEGER NOT NULL,
            digest TEXT NOT NULL,
            revision TEXT,
            status TEXT NOT NULL,
            PRIMARY KEY (project, name, id)
        ) WITHOUT ROWID
    """,
    "environment_services": """
        CREATE TABLE environment_services (
            project TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, services TEXT NOT NULL,
            PRIMARY KEY (project, name, digest)
        ) WITHOUT ROWID
    """,
    "environment_jobs": """
        CREATE TABLE environment_jobs (
            project TEXT NOT NULL, name TEXT NOT NULL,
            host TEXT NOT NULL, service TEXT NOT NULL, hash TEXT NOT NULL,
            PRIMARY KEY (project, name, host, service, hash)
        ) WITHOUT ROWID
    """,
    "environment_stopped": """
        CREATE TABLE environment_stopped (
            project TEXT NOT NULL, name TEXT NOT NULL,
            host TEXT NOT NULL, service TEXT NOT NULL, hash TEXT NOT NULL, said TEXT NOT NULL,
            PRIMARY KEY (project, name, host, service)
        ) WITHOUT ROWID
    """,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """One event about one environment, and where its consequences go."""

    tables: sqlite3.Connection
    event: StoredEvent
    data: dict[str, Any]
    place: tuple[str, str]  # project and name

    def set(self, **columns: object) -> None:
        """Change columns of the environment's row, which is made when it is missing."""
        self.tables.execute("INSERT OR IGNORE INTO environments (project, name) VALUES (?, ?)", self.place)
        changes = ", ".join(f"{column} = :{column}" for column in columns)
        self.tables.execute(
            f"UPDATE environments SET {changes} WHERE project = :project AND name = :name",  # noqa: S608  # columns are literals of this module
            {**columns, "project": self.place[0], "name": self.place[1]},
        )

    def git_shows(self, digest: str, revision: str | None) -> None:
        """The watched branch leads to this Manifest, so its newest commit renders."""
        self.set(git_digest=digest, failed_revision=None, render_failure=None, awaiting=None)
        self.sees(revision)

    def sees(self, revision: str | None) -> None:
        """Git, or who renders without watching it, came to this commit; None: no commit."""
        if revision is not None:
            self.set(revision=revision, revision_at=format_utc(self.event.time))

    def ends_wait(self, revision: str) -> None:
        """Nothing is waited for any more if it was for this commit."""
        row = self.tables.execute(
            "SELECT awaiting FROM environments WHERE project = ? AND name = ?", self.place
        ).fetchone()
        if row["awaiting"] is not None and json.loads(row["awaiting"])["revision"] == revision:
            self.set(awaiting=None)

    def is_watched(self) -> bool:
        """Whether a watched branch ever showed a commit that concerns the environment."""
        query = "SELECT watched FROM environments WHERE project = ? AND name = ?"
        row = self.tables.execute(query, self.place).fetchone()
        return row is not None and row["watched"] == 1

    def release_becomes(self, status: str) -> None:
        """Note what became of the Release that the event names."""
        self.tables.execute(
            "UPDATE environment_releases SET status = ? WHERE project = ? AND name = ? AND id = ?",
            (status, *self.place, self.data["release"]),
        )

    def said(self) -> dict[str, Any]:
        """Who said it and when."""
        actor = self.event.actor
        return {"since": format_utc(self.event.time), "actor": {"kind": actor.kind, "id": actor.id}}


def _rendered(told: _Told) -> None:
    told.set(failed_revision=None, render_failure=None)
    told.ends_wait(told.data["revision"])
    if not told.is_watched():
        told.sees(told.data["revision"])
    told.tables.execute(
        "INSERT OR REPLACE INTO environment_services VALUES (?, ?, ?, ?)",
        (*told.place, told.data["digest"], json.dumps(told.data["services"], sort_keys=True)),
    )


def _render_failed(told: _Told) -> None:
    revision = told.data["revision"]
    told.sees(revision)
    failure = {**told.data["failure"], "rule": told.data.get("rule")}
    told.set(failed_revision=revision, render_failure=json.dumps(failure), awaiting=None)


def _awaited(told: _Told) -> None:
    """A person who waits does so before their own screen."""
    if told.data["trigger"] == "person":
        return
    told.sees(told.data["revision"])
    awaiting = {key: told.data[key] for key in ("revision", "images", "until", "why")}
    told.set(failed_revision=None, render_failure=None, awaiting=json.dumps(awaiting))


def _refreshed(told: _Told) -> None:
    """What a person had looked up again is what Git shows from then on, if it is the same commit."""
    data = told.data
    if data["cause"] == "person" and data["replaces"] is not None:
        told.tables.execute(
            "UPDATE environments SET git_digest = ? WHERE project = ? AND name = ? AND git_digest = ?",
            (data["digest"], *told.place, data["replaces"]),
        )


def _requested(told: _Told) -> None:
    data = told.data
    told.tables.execute(
        "INSERT OR IGNORE INTO environment_releases VALUES (?, ?, ?, ?, ?, ?, 'pending')",
        (*told.place, data["release"], told.event.position, data["digest"], data["revision"]),
    )
    told.set(active_release=data["release"], breaker=None, destroyed=None)
    if told.event.type in _ASKED or data.get("trigger") == "person":
        told.set(asked_digest=data["digest"], orphaned=None)
    else:
        told.git_shows(data["digest"], data["revision"])


_ASKED = frozenset({"RollbackRequested", "AdoptionRequested"})  # by a person, always


def _shown(told: _Told) -> None:
    told.git_shows(told.data["digest"], told.data["revision"])


def _started(told: _Told) -> None:
    told.release_becomes("running")
    told.set(destroyed=None)


def _completed(told: _Told) -> None:
    told.release_becomes("completed")
    told.set(deployed_release=told.data["release"])
    told.tables.execute(
        "UPDATE environments SET unpruned = NULL WHERE project = ? AND name = ?"
        " AND json_extract(unpruned, '$.release') IS NOT ?",
        (*told.place, told.data["release"]),
    )
    _no_longer_active(told)
    _wake_changed(told)


def _prune_deferred(told: _Told) -> None:
    unpruned = {key: told.data[key] for key in ("release", "services", "most")}
    told.set(unpruned=json.dumps({**unpruned, "since": format_utc(told.event.time)}))


def _prune_confirmed(told: _Told) -> None:
    told.set(unpruned=None)


def _ended(told: _Told) -> None:
    told.release_becomes("ended")
    _no_longer_active(told)


def _no_longer_active(told: _Told) -> None:
    told.tables.execute(
        "UPDATE environments SET active_release = NULL WHERE project = ? AND name = ? AND active_release = ?",
        (*told.place, told.data["release"]),
    )


def _held(told: _Told) -> None:
    hold = {key: told.data[key] for key in ("target", "bad", "clears", "reason", "until")}
    told.set(hold=json.dumps({**hold, **told.said()}))


def _hold_cleared(told: _Told) -> None:
    query = "SELECT hold FROM environments WHERE project = ? AND name = ? AND hold IS NOT NULL"
    held = told.tables.execute(query, told.place).fetchone()
    told.set(hold=None)
    if held is not None and told.data["reason"] == "reverted":
        told.git_shows(json.loads(held["hold"])["target"], told.data["revision"])


def _suspended(told: _Told) -> None:
    suspended = {"reason": told.data["reason"], "until": told.data.get("until")}
    told.set(suspended=json.dumps({**suspended, **told.said()}))


def _resumed(told: _Told) -> None:
    told.set(suspended=None)


def _breaker_opened(told: _Told) -> None:
    told.set(breaker=json.dumps({"since": format_utc(told.event.time), **told.data}))


def _breaker_closed(told: _Told) -> None:
    told.set(breaker=None)


def _orphaned(told: _Told) -> None:
    orphan = {key: told.data[key] for key in ("ref", "revision", "together")}
    told.set(orphaned=json.dumps({**orphan, **told.said(), "deferred": None}))


def _returned(told: _Told) -> None:
    told.set(orphaned=None)


def _removal_deferred(told: _Told) -> None:
    query = "SELECT orphaned FROM environments WHERE project = ? AND name = ? AND orphaned IS NOT NULL"
    row = told.tables.execute(query, told.place).fetchone()
    if row is not None:
        deferred = {key: told.data[key] for key in ("rule", "detail")}
        told.set(orphaned=json.dumps({**json.loads(row["orphaned"]), "deferred": deferred}))


def _destroy_requested(told: _Told) -> None:
    told.set(destroying=json.dumps({"reason": told.data["reason"], **told.said()}))


def _destroyed(told: _Told) -> None:
    """What a person said when it was asked for stays said."""
    query = "SELECT destroying FROM environments WHERE project = ? AND name = ?"
    row = told.tables.execute(query, told.place).fetchone()
    asked = {"reason": "", **told.said()}
    if row is not None and row["destroying"] is not None:
        asked = json.loads(row["destroying"])
    volumes = {host: one["volumes"] for host, one in told.data["hosts"].items()}
    told.set(
        destroying=None,
        destroyed=json.dumps({**asked, "since": format_utc(told.event.time), "volumes": volumes}),
        deployed_release=None,
        asked_digest=None,
        hold=None,
        breaker=None,
        unpruned=None,
    )
    told.tables.execute("DELETE FROM environment_stopped WHERE project = ? AND name = ?", told.place)
    if any(volumes.values()):
        told.tables.execute("DELETE FROM environment_jobs WHERE project = ? AND name = ?", told.place)


def _service_stopped(told: _Told) -> None:
    said = json.dumps({"reason": told.data["reason"], **told.said()})
    told.tables.executemany(
        "INSERT OR REPLACE INTO environment_stopped VALUES (?, ?, ?, ?, ?, ?)",
        [
            (*told.place, host, told.data["service"], found, said)
            for host, found in told.data["hashes"].items()
        ],
    )


def _service_started(told: _Told) -> None:
    told.tables.execute(
        "DELETE FROM environment_stopped WHERE project = ? AND name = ? AND service = ?",
        (*told.place, told.data["service"]),
    )


def _wake_changed(told: _Told) -> None:
    """What a Release brought in another version is not stopped any more."""
    query = "SELECT services FROM environment_services WHERE project = ? AND name = ? AND digest = ?"
    found = told.tables.execute(query, (*told.place, told.data["digest"])).fetchone()
    services: dict[str, dict[str, str]] = {} if found is None else json.loads(found["services"])
    query = "SELECT host, service, hash FROM environment_stopped WHERE project = ? AND name = ?"
    for row in told.tables.execute(query, told.place).fetchall():
        if services.get(row["host"], {}).get(row["service"]) != row["hash"]:
            told.tables.execute(
                "DELETE FROM environment_stopped WHERE project = ? AND name = ? AND host = ? AND service = ?",
                (*told.place, row["host"], row["service"]),
            )


def _job_completed(told: _Told) -> None:
    told.tables.execute(
        "INSERT OR IGNORE INTO environment_jobs VALUES (?, ?, ?, ?, ?)",
        (*told.place, told.data["host"], told.data["service"], told.data["service_hash"]),
    )


_HANDLERS: dict[str, Callable[[_Told], None]] = {
    "ManifestRendered": _rendered,
    "RenderFailed": _render_failed,
    "ImageAwaited": _awaited,
    "ImagesRefreshed": _refreshed,
    "DeployRequested": _requested,
    "RevertDetected": _requested,
    "RollbackRequested": _requested,
    "AdoptionRequested": _requested,
    "EnvironmentOrphaned": _orphaned,
    "EnvironmentReturned": _returned,
    "RemovalDeferred": _removal_deferred,
    "PruneDeferred": _prune_deferred,
    "PruneConfirmed": _prune_confirmed,
    "DestroyRequested": _destroy_requested,
    "EnvironmentDestroyed": _destroyed,
    "DeploySkipped": _shown,
    "DeployDeferred": _shown,
    "ReleaseStarted": _started,
    "ReleaseCompleted": _completed,
    "ReleaseFailed": _ended,
    "ReleaseRolledBack": _ended,
    "ReleaseSuperseded": _ended,
    "ReleaseCancelled": _ended,
    "EnvironmentHeld": _held,
    "HoldCleared": _hold_cleared,
    "EnvironmentSuspended": _suspended,
    "EnvironmentResumed": _resumed,
    "BreakerOpened": _breaker_opened,
    "BreakerClosed": _breaker_closed,
    "JobCompleted": _job_completed,
    "ServiceStopped": _service_stopped,
    "ServiceStarted": _service_started,
}
_OBSERVED = "RevisionObserved"


def _apply(tables: sqlite3.Connection, event: StoredEvent) -> None:
    data = json.loads(event.data)
    if event.type == _OBSERVED:
        for environment in data["affected"]:
            project, _, name = environment.partition("/")
            told = _Told(tables=tables, event=event, data=data, place=(project, name))
            told.set(watched=1)
            told.sees(data["revision"])
        return
    place = split_environment(event.stream)
    if place is not None:
        _HANDLERS[event.type](_Told(tables=tables, event=event, data=data, place=place))


ENVIRONMENTS = View(
    name="environments",
    version=5,
    tables=_TABLES,
    concerns=frozenset({*_HANDLERS, _OBSERVED}),
    apply=_apply,
)
