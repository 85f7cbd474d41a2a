"""The history of Releases: one row each from its request to its verdict, with phases and images.

A Release is pending when it was requested, running when a controller began, and ends with its verdict. Its
version, commit and `previous_id` are those of the request: what was deployed when it was decided, which may
differ from what was deployed when it ran. The images of a Release are those of its Manifest, which this
environment recorded before it was requested. This module reads the rows that `release_fold.py` makes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from events.envelope import StoredEvent
from projections.views.release_fold import PHASE_STATUS, phase_detail

Images = Mapping[str, Mapping[str, Mapping[str, str]]]  # {release: {service: {ref, pin, pin_kind}}}

_NEWEST = 2**62  # beyond every position

PHASE_NAMES = ("build", "push", "migrate_pre", "rollout", "migrate_post", "finalize")


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
    scope: tuple[str, ...] = ()  # the only hosts that it was for; none: all
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """How it ended on each host: status, digest, reason; none before its end and in older logs."""
    traffic: dict[str, int] | None = None  # `events.catalog.release.TrafficProof`; None: nothing was switched

    def as_json(self) -> dict[str, Any]:
        """The object of `releases show --json`; its keys are a published contract.

        `scope` is there for a Release of some hosts alone, `hosts` where there is more than one, `traffic`
        where requests were switched.
        """
        return {
            **self.release.as_json(),
            "phases": [{"name": one.name, "status": one.status, "detail": one.detail} for one in self.phases],
            "images": self.images,
            "reverts": self.reverts,
            "retry_of": self.retry_of,
            **({"scope": list(self.scope)} if self.scope else {}),
            **({"hosts": self.hosts} if len(self.hosts) > 1 else {}),
            **({} if self.traffic is None else {"traffic": self.traffic}),
        }


def list_releases(
    tables: sqlite3.Connection,
    *,
    environments: Iterable[tuple[str, str]] | None = None,
    limit: int | None = None,
    upto: int | None = None,
) -> list[Release]:
    """Releases, newest first; of these `(project, name)` environments only, or of all; at most `limit`.

    With `upto` those that were requested up to this position, as they were then.
    """
    most, last = -1 if limit is None else limit, _NEWEST if upto is None else upto
    if environments is None:
        query = "SELECT * FROM releases WHERE position <= ? ORDER BY position DESC LIMIT ?"
        return [_release(row, upto=upto) for row in tables.execute(query, (last, most)).fetchall()]
    query = (
        "SELECT * FROM releases WHERE project = ? AND environment = ? AND position <= ?"
        " ORDER BY position DESC LIMIT ?"
    )
    found = [row for place in set(environments) for row in tables.execute(query, (*place, last, most))]
    newest = sorted(found, key=lambda row: row["position"], reverse=True)
    return [_release(row, upto=upto) for row in newest[:limit]]


def find_release(
    tables: sqlite3.Connection, release_id: str, *, upto: int | None = None
) -> ReleaseDetail | None:
    """One Release, None when there is none of this id.

    With `upto` as it was at this position, if it had been requested by then. Its phases stay the newest ones:
    `phases_of` tells the earlier ones from the Release's own events.
    """
    row = tables.execute("SELECT * FROM releases WHERE id = ?", (release_id,)).fetchone()
    if row is None or (upto is not None and row["position"] > upto):
        return None
    ended = _had(row, "ended", upto)
    return ReleaseDetail(
        release=_release(row, upto=upto),
        phases=phases_in(tables, release_id),
        images=images_of(tables, row["project"], row["environment"], digest=row["digest"]),
        reverts=row["reverts"],
        retry_of=row["retry_of"],
        failure=json.loads(row["failure"]) if row["failure"] is not None and ended else None,
        scope=tuple(json.loads(row["scope"])),
        hosts=json.loads(row["hosts"]) if ended else {},
        traffic=json.loads(row["traffic"]) if row["traffic"] is not None and ended else None,
    )


def images_of(
    tables: sqlite3.Connection, project: str, environment: str, *, digest: str | None
) -> dict[str, dict[str, str]]:
    """`{service: {ref, pin, pin_kind}}` of a Manifest, sorted by service; nothing for one that is unknown."""
    found = tables.execute(
        "SELECT images FROM release_images WHERE project = ? AND environment = ? AND digest = ?",
        (project, environment, digest),
    ).fetchone()
    return {} if found is None else json.loads(found["images"])


def digests_like(tables: sqlite3.Connection, project: str, environment: str, *, beginning: str) -> list[str]:
    """The recorded Manifests of an environment whose digests begin so, sorted."""
    rows = tables.execute(
        "SELECT digest FROM release_images WHERE project = ? AND environment = ?"
        " AND digest >= ? AND digest < ? ORDER BY digest",
        (project, environment, beginning, f"{beginning}g"),
    )
    return [row["digest"] for row in rows]


def images_of_releases(tables: sqlite3.Connection, release_ids: Iterable[str]) -> Images:
    """`{release: {service: {ref, pin, pin_kind}}}`; a Release that nobody requested is left out."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for one in set(release_ids):
        row = tables.execute("SELECT * FROM releases WHERE id = ?", (one,)).fetchone()
        if row is not None:
            found[one] = images_of(tables, row["project"], row["environment"], digest=row["digest"])
    return found


def phases_of(events: Iterable[StoredEvent]) -> tuple[Phase, ...]:
    """The six phases as these events of a Release's own stream tell them, in their newest schema."""
    known: dict[str, Phase] = {}
    for event in events:
        if event.type in PHASE_STATUS:
            data = json.loads(event.data)
            name: str = data["phase"]
            known[name] = Phase(name=name, status=PHASE_STATUS[event.type], detail=phase_detail(data))
    return _all_six(known)


def _had(row: sqlite3.Row, step: str, upto: int | None) -> bool:
    """Whether a Release had `started` or `ended` by a position; None: by now."""
    reached: int | None = row[f"{step}_position"]
    return reached is not None and (upto is None or reached <= upto)


def _release(row: sqlite3.Row, *, upto: int | None = None) -> Release:
    told: dict[str, Any] = {name: row[name] for name in Release.__slots__}
    if upto is not None and not _had(row, "ended", upto):
        told["status"] = "running" if _had(row, "started", upto) else "pending"
    return Release(**told)


def phases_in(tables: sqlite3.Connection, release_id: str) -> tuple[Phase, ...]:
    """The six phases of a Release, in order; one that was not reached is pending."""
    rows = tables.execute("SELECT name, status, detail FROM release_phases WHERE release = ?", (release_id,))
    return _all_six(
        {row["name"]: Phase(name=row["name"], status=row["status"], detail=row["detail"]) for row in rows}
    )


def _all_six(known: Mapping[str, Phase]) -> tuple[Phase, ...]:
    return tuple(known.get(name, Phase(name=name, status="pending", detail="")) for name in PHASE_NAMES)
