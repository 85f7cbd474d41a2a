"""Each environment as the log tells it: what Git shows, what is deployed, what is under way, hold, suspend.

*Desired* is the hold's target under a hold, else what Git last led to, else (Git was never considered here)
what a person last asked for; of an environment that was taken away it is nothing. *Deployed* is the last
Release completed. What runs is not here: engines answer that, and `status.py` joins the two. This module
reads the rows that `environment_fold.py` makes.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A Manifest and the Release that is to run it, or ran it."""

    release: str | None  # None: no Release of it was requested
    digest: str | None  # None: nothing is desired, or deployed
    revision: str | None = None  # of the Release
    traffic: dict[str, int] | None = None  # while the deployed one switched requests; None: it switched none


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRelease:
    """A Release without a verdict."""

    id: str
    status: str  # pending or running


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One environment by the log."""

    project: str
    name: str
    revision: str | None  # the commit that Git showed last, or that was rendered last; None: neither
    revision_at: str | None  # when the log last spoke of a commit, RFC 3339
    desired: Placed
    deployed: Placed
    render_failure: dict[str, Any] | None  # of the newest commit, with `revision`, `rule`; None: it renders
    awaiting: dict[str, Any] | None  # revision, images, until, why; None: no image is waited for
    hold: dict[str, Any] | None  # target, bad, clears, reason, until, since, actor
    suspended: dict[str, Any] | None  # reason, until, since, actor
    breaker: dict[str, Any] | None  # healing rests: attempts, until, reason, since; None: it does not
    orphaned: dict[str, Any] | None  # ref, revision, together, since, actor, deferred: gone from Git
    destroying: dict[str, Any] | None  # reason, since, actor: it is being taken away
    destroyed: dict[str, Any] | None  # reason, since, actor, volumes by host: it was taken away
    active: ActiveRelease | None
    services: dict[str, dict[str, str]]  # {host: {service: hash}} of what is deployed, or else desired
    finished_jobs: frozenset[tuple[str, str]]  # (host, service) of these that ran and have no container
    stopped: dict[tuple[str, str], dict[str, Any]] = field(
        default_factory=dict[tuple[str, str], dict[str, Any]]
    )
    """By host and service, what a person stopped: reason, since, actor."""
    unpruned: dict[str, Any] | None = None  # release, services, most, since: left, and runs on till confirmed
    placed: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    """Hosts that are not to run what is deployed, with the Manifest that they are; None: parts of two."""
    drained: tuple[dict[str, Any], ...] = ()  # kind, name, mode, reason, since, actor: no new requests
    watch: dict[str, Any] | None = None  # release, services, until, since: what it changed is looked at

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"


NOTHING = Placed(release=None, digest=None)


def unseen(project: str, name: str) -> Environment:
    """An environment that the log does not know."""
    return Environment(
        project=project,
        name=name,
        revision=None,
        revision_at=None,
        desired=NOTHING,
        deployed=NOTHING,
        render_failure=None,
        awaiting=None,
        hold=None,
        suspended=None,
        breaker=None,
        orphaned=None,
        destroying=None,
        destroyed=None,
        active=None,
        services={},
        finished_jobs=frozenset(),
    )


def list_environments(tables: sqlite3.Connection) -> list[tuple[str, str]]:
    """`(project, name)` of every environment that the log speaks of, sorted."""
    rows = tables.execute("SELECT project, name FROM environments ORDER BY project, name")
    return [(row["project"], row["name"]) for row in rows]


def find_environment(tables: sqlite3.Connection, project: str, name: str) -> Environment | None:
    """One environment, None when the log does not speak of it."""
    query = "SELECT * FROM environments WHERE project = ? AND name = ?"
    row = tables.execute(query, (project, name)).fetchone()
    if row is None:
        return None
    hold, destroyed = _parsed(row["hold"]), _parsed(row["destroyed"])
    deployed = _release(tables, row["deployed_release"], place=(project, name))
    digest = hold["target"] if hold else row["git_digest"] or row["asked_digest"]
    digest = None if destroyed else digest
    placed: dict[str, str | None] = json.loads(row["placed"] or "{}")
    services = _services(tables, deployed.digest or digest, place=(project, name))
    for host, other in placed.items():
        if other is not None:
            there = _services(tables, other, place=(project, name)).get(host, {})
            services = {**services, host: there}
    return Environment(
        project=project,
        name=name,
        revision=row["revision"],
        revision_at=row["revision_at"],
        desired=_newest_release(tables, digest, place=(project, name)),
        deployed=deployed,
        render_failure=_render_failure(row),
        awaiting=_parsed(row["awaiting"]),
        hold=hold,
        suspended=_parsed(row["suspended"]),
        breaker=_parsed(row["breaker"]),
        orphaned=_parsed(row["orphaned"]),
        destroying=_parsed(row["destroying"]),
        destroyed=destroyed,
        active=_active(tables, row["active_release"], place=(project, name)),
        services=services,
        finished_jobs=_finished_jobs(tables, services, place=(project, name)),
        stopped=_stopped(tables, place=(project, name)),
        unpruned=_parsed(row["unpruned"]),
        placed=placed,
        drained=_drained(row["drained"]),
        watch=_parsed(row["watch"]),
    )


Place = tuple[str, str]


def _parsed(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)


def _drained(text: str | None) -> tuple[dict[str, Any], ...]:
    """In the order of kind and name."""
    standing: list[dict[str, Any]] = [] if text is None else json.loads(text)
    return tuple(sorted(standing, key=lambda one: (one["kind"], one["name"])))


def _render_failure(row: sqlite3.Row) -> dict[str, Any] | None:
    failure = _parsed(row["render_failure"])
    return None if failure is None else {"revision": row["failed_revision"], **failure}


def _release(tables: sqlite3.Connection, release_id: str | None, *, place: Place) -> Placed:
    found = _release_row(tables, release_id, place=place)
    if found is None:
        return NOTHING
    return Placed(
        release=found["id"],
        digest=found["digest"],
        revision=found["revision"],
        traffic=_parsed(found["traffic"]),
    )


def _release_row(tables: sqlite3.Connection, release_id: str | None, *, place: Place) -> sqlite3.Row | None:
    found: sqlite3.Row | None = tables.execute(
        "SELECT * FROM environment_releases WHERE project = ? AND name = ? AND id = ?", (*place, release_id)
    ).fetchone()
    return found


def _newest_release(tables: sqlite3.Connection, digest: str | None, *, place: Place) -> Placed:
    """The Manifest with the newest Release of it, a completed one before all others."""
    found = tables.execute(
        "SELECT * FROM environment_releases WHERE project = ? AND name = ? AND digest = ?"
        " ORDER BY status = 'completed' DESC, position DESC",
        (*place, digest),
    ).fetchone()
    if found is None:
        return Placed(release=None, digest=digest)
    return Placed(release=found["id"], digest=digest, revision=found["revision"])


def _active(tables: sqlite3.Connection, release_id: str | None, *, place: Place) -> ActiveRelease | None:
    found = _release_row(tables, release_id, place=place)
    return None if found is None else ActiveRelease(id=found["id"], status=found["status"])


def _services(tables: sqlite3.Connection, digest: str | None, *, place: Place) -> dict[str, dict[str, str]]:
    found = tables.execute(
        "SELECT services FROM environment_services WHERE project = ? AND name = ? AND digest = ?",
        (*place, digest),
    ).fetchone()
    return {} if found is None else json.loads(found["services"])


def _stopped(tables: sqlite3.Connection, *, place: Place) -> dict[tuple[str, str], dict[str, Any]]:
    query = "SELECT host, service, said FROM environment_stopped WHERE project = ? AND name = ?"
    return {(row["host"], row["service"]): json.loads(row["said"]) for row in tables.execute(query, place)}


def _finished_jobs(
    tables: sqlite3.Connection, services: dict[str, dict[str, str]], *, place: Place
) -> frozenset[tuple[str, str]]:
    rows = tables.execute(
        "SELECT host, service, hash FROM environment_jobs WHERE project = ? AND name = ?", place
    )
    return frozenset(
        (row["host"], row["service"])
        for row in rows
        if services.get(row["host"], {}).get(row["service"]) == row["hash"]
    )
