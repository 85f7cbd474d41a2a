"""From events to the rows about environments, which `environments.py` reads.

Git "shows" a Manifest by a decision about it (a request, a revert, a skip, a deferral), not by its render
alone: a person's `deploy --rev` renders too. For the same reason a render tells which commit is newest only
while no watched branch does. Holds, suspends and removal are in `environment_steering.py`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Any

from events.envelope import StoredEvent
from events.placing import after_failure, after_partial
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
        "INSERT OR IGNORE INTO environment_releases VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, NULL)",
        (
            *told.place,
            data["release"],
            told.event.position,
            data["digest"],
            data["revision"],
            json.dumps(data.get("scope", [])),
        ),
    )
    told.set(active_release=data["release"], breaker=None, destroyed=None, watch=None)
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
    _proven(told)
    scope = _scope(told)
    if not scope:
        told.set(deployed_release=told.data["release"], placed=None)
        told.tables.execute(
            "UPDATE environments SET unpruned = NULL WHERE project = ? AND name = ?"
            " AND json_extract(unpruned, '$.release') IS NOT ?",
            (*told.place, told.data["release"]),
        )
    else:
        _completed_on_some(told, scope)
    _no_longer_active(told)
    _wake_changed(told, scope)


def _proven(told: Told) -> None:
    """What became of requests while it switched them."""
    if told.data["traffic"] is not None:
        told.tables.execute(
            "UPDATE environment_releases SET traffic = ? WHERE project = ? AND name = ? AND id = ?",
            (json.dumps(told.data["traffic"]), *told.place, told.data["release"]),
        )


def _completed_on_some(told: Told, scope: Sequence[str]) -> None:
    """It is deployed when the other hosts have it too, and noted host by host until then."""
    digest = told.data["digest"]
    hosts = _services(told, digest) or told.data["hosts"]
    placed = after_partial(_placed(told), _deployed(told), digest=digest, scope=scope, hosts=hosts)
    if placed is None:
        told.set(deployed_release=told.data["release"], placed=None)
    else:
        told.set(placed=json.dumps(placed) if placed else None)


def _failed(told: Told) -> None:
    ends = {host: (one["status"], one["digest"]) for host, one in told.data["hosts"].items()}
    stays = bool(told.data.get("stays"))
    placed = after_failure(_placed(told), _deployed(told), ends, stays=stays)
    told.set(placed=json.dumps(placed) if placed else None)
    _ended(told)


def _scope(told: Told) -> list[str]:
    """The only hosts that the Release was for; none: all."""
    query = "SELECT scope FROM environment_releases WHERE project = ? AND name = ? AND id = ?"
    row = told.tables.execute(query, (*told.place, told.data["release"])).fetchone()
    return [] if row is None else json.loads(row["scope"])


def _placed(told: Told) -> dict[str, str | None]:
    query = "SELECT placed FROM environments WHERE project = ? AND name = ?"
    row = told.tables.execute(query, told.place).fetchone()
    return {} if row is None or row["placed"] is None else json.loads(row["placed"])


def _deployed(told: Told) -> str | None:
    """The Manifest that is deployed."""
    query = (
        "SELECT digest FROM environments JOIN environment_releases USING (project, name)"
        " WHERE project = ? AND name = ? AND id = deployed_release"
    )
    row = told.tables.execute(query, told.place).fetchone()
    return None if row is None else row["digest"]


def _services(told: Told, digest: str) -> dict[str, dict[str, str]]:
    query = "SELECT services FROM environment_services WHERE project = ? AND name = ? AND digest = ?"
    found = told.tables.execute(query, (*told.place, digest)).fetchone()
    return {} if found is None else json.loads(found["services"])


def _ended(told: Told) -> None:
    told.release_becomes("ended")
    _no_longer_active(told)


def _no_longer_active(told: Told) -> None:
    told.tables.execute(
        "UPDATE environments SET active_release = NULL WHERE project = ? AND name = ? AND active_release = ?",
        (*told.place, told.data["release"]),
    )


def _wake_changed(told: Told, scope: Collection[str]) -> None:
    """What a Release brought in another version is not stopped any more."""
    services = _services(told, told.data["digest"])
    query = "SELECT host, service, hash FROM environment_stopped WHERE project = ? AND name = ?"
    for row in told.tables.execute(query, told.place).fetchall():
        changed = services.get(row["host"], {}).get(row["service"]) != row["hash"]
        if changed and (not scope or row["host"] in scope):
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
    "ReleaseFailed": _failed,
    "ReleaseRolledBack": _failed,
    "ReleaseSuperseded": _ended,
    "ReleaseCancelled": _ended,
    "JobCompleted": _job_completed,
    **STEERING,
}
_OBSERVED = "RevisionObserved"


def _apply(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
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
    version=9,
    tables=TABLES,
    indexes=INDEXES,
    concerns=frozenset({*_HANDLERS, _OBSERVED}),
    apply=_apply,
)
