"""From events to the rows about environments, which `environments.py` reads.

Git "shows" a Manifest by a decision about it (a request, a revert, a skip, a deferral), not by its render
alone: a person's `deploy --rev` renders too. For the same reason a render tells which commit is newest only
while no watched branch does. Holds, suspends and removal are in `environment_steering.py`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from events.envelope import StoredEvent
from events.streams import split_environment
from projections.view import View
from projections.views.environment_rows import INDEXES, TABLES, Told
from projections.views.environment_steering import STEERING


def _rendered(told: Told) -> None:
    told.set(failed_revision=None, render_failure=None)
    told.ends_wait(told.data["revision"])
    if not told.is_watched():
        told.sees(told.data["revision"])
    told.tables.execute(
        "INSERT OR REPLACE INTO environment_services VALUES (?, ?, ?, ?)",
        (*told.place, told.data["digest"], json.dumps(told.data["services"], sort_keys=True)),
    )


def _render_failed(told: Told) -> None:
    revision = told.data["revision"]
    told.sees(revision)
    failure = {**told.data["failure"], "rule": told.data.get("rule")}
    told.set(failed_revision=revision, render_failure=json.dumps(failure), awaiting=None)


def _awaited(told: Told) -> None:
    """A person who waits does so before their own screen."""
    if told.data["trigger"] == "person":
        return
    told.sees(told.data["revision"])
    awaiting = {key: told.data[key] for key in ("revision", "images", "until", "why")}
    told.set(failed_revision=None, render_failure=None, awaiting=json.dumps(awaiting))


def _refreshed(told: Told) -> None:
    """What a person had looked up again is what Git shows from then on, if it is the same commit."""
    data = told.data
    if data["cause"] == "person" and data["replaces"] is not None:
        told.tables.execute(
            "UPDATE environments SET git_digest = ? WHERE project = ? AND name = ? AND git_digest = ?",
            (data["digest"], *told.place, data["replaces"]),
        )


def _requested(told: Told) -> None:
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


def _shown(told: Told) -> None:
    told.git_shows(told.data["digest"], told.data["revision"])


def _started(told: Told) -> None:
    told.release_becomes("running")
    told.set(destroyed=None)


def _completed(told: Told) -> None:
    told.release_becomes("completed")
    told.set(deployed_release=told.data["release"])
    told.tables.execute(
        "UPDATE environments SET unpruned = NULL WHERE project = ? AND name = ?"
        " AND json_extract(unpruned, '$.release') IS NOT ?",
        (*told.place, told.data["release"]),
    )
    _no_longer_active(told)
    _wake_changed(told)


def _ended(told: Told) -> None:
    told.release_becomes("ended")
    _no_longer_active(told)


def _no_longer_active(told: Told) -> None:
    told.tables.execute(
        "UPDATE environments SET active_release = NULL WHERE project = ? AND name = ? AND active_release = ?",
        (*told.place, told.data["release"]),
    )


def _wake_changed(told: Told) -> None:
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


def _job_completed(told: Told) -> None:
    told.tables.execute(
        "INSERT OR IGNORE INTO environment_jobs VALUES (?, ?, ?, ?, ?)",
        (*told.place, told.data["host"], told.data["service"], told.data["service_hash"]),
    )


_HANDLERS: dict[str, Callable[[Told], None]] = {
    "ManifestRendered": _rendered,
    "RenderFailed": _render_failed,
    "ImageAwaited": _awaited,
    "ImagesRefreshed": _refreshed,
    "DeployRequested": _requested,
    "RevertDetected": _requested,
    "RollbackRequested": _requested,
    "AdoptionRequested": _requested,
    "DeploySkipped": _shown,
    "DeployDeferred": _shown,
    "ReleaseStarted": _started,
    "ReleaseCompleted": _completed,
    "ReleaseFailed": _ended,
    "ReleaseRolledBack": _ended,
    "ReleaseSuperseded": _ended,
    "ReleaseCancelled": _ended,
    "JobCompleted": _job_completed,
    **STEERING,
}
_OBSERVED = "RevisionObserved"


def _apply(tables: sqlite3.Connection, event: StoredEvent) -> None:
    data = json.loads(event.data)
    if event.type == _OBSERVED:
        for environment in data["affected"]:
            project, _, name = environment.partition("/")
            told = Told(tables=tables, event=event, data=data, place=(project, name))
            told.set(watched=1)
            told.sees(data["revision"])
        return
    place = split_environment(event.stream)
    if place is not None:
        _HANDLERS[event.type](Told(tables=tables, event=event, data=data, place=place))


ENVIRONMENTS = View(
    name="environments",
    version=6,
    tables=TABLES,
    indexes=INDEXES,
    concerns=frozenset({*_HANDLERS, _OBSERVED}),
    apply=_apply,
)
