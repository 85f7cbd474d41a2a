"""What stands between an environment and what Git shows, from event to row: holds, suspends, rests, removal.

Each is a column of the environment with what was said of it, and none while it does not stand. What a person
stopped has a row of its own for each service and host.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from events.kernel.clock import format_utc
from projections.views.environment_rows import Told


def _held(told: Told) -> None:
    hold = {key: told.data[key] for key in ("target", "bad", "clears", "reason", "until")}
    told.set(hold=json.dumps({**hold, **told.said()}))


def _hold_cleared(told: Told) -> None:
    query = "SELECT hold FROM environments WHERE project = ? AND name = ? AND hold IS NOT NULL"
    held = told.tables.execute(query, told.place).fetchone()
    told.set(hold=None)
    if held is not None and told.data["reason"] == "reverted":
        told.git_shows(json.loads(held["hold"])["target"], told.data["revision"])


def _suspended(told: Told) -> None:
    suspended = {"reason": told.data["reason"], "until": told.data.get("until")}
    told.set(suspended=json.dumps({**suspended, **told.said()}))


def _resumed(told: Told) -> None:
    told.set(suspended=None)


def _breaker_opened(told: Told) -> None:
    told.set(breaker=json.dumps({"since": format_utc(told.event.time), **told.data}))


def _breaker_closed(told: Told) -> None:
    told.set(breaker=None)


def _orphaned(told: Told) -> None:
    orphan = {key: told.data[key] for key in ("ref", "revision", "together")}
    told.set(orphaned=json.dumps({**orphan, **told.said(), "deferred": None}))


def _returned(told: Told) -> None:
    told.set(orphaned=None)


def _removal_deferred(told: Told) -> None:
    query = "SELECT orphaned FROM environments WHERE project = ? AND name = ? AND orphaned IS NOT NULL"
    row = told.tables.execute(query, told.place).fetchone()
    if row is not None:
        deferred = {key: told.data[key] for key in ("rule", "detail")}
        told.set(orphaned=json.dumps({**json.loads(row["orphaned"]), "deferred": deferred}))


def _prune_deferred(told: Told) -> None:
    unpruned = {key: told.data[key] for key in ("release", "services", "most")}
    told.set(unpruned=json.dumps({**unpruned, "since": format_utc(told.event.time)}))


def _prune_confirmed(told: Told) -> None:
    told.set(unpruned=None)


def _destroy_requested(told: Told) -> None:
    told.set(destroying=json.dumps({"reason": told.data["reason"], **told.said()}))


def _destroyed(told: Told) -> None:
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
        placed=None,
        asked_digest=None,
        hold=None,
        breaker=None,
        unpruned=None,
        drained=None,
        watch=None,
    )
    told.tables.execute("DELETE FROM environment_stopped WHERE project = ? AND name = ?", told.place)
    if any(volumes.values()):
        told.tables.execute("DELETE FROM environment_jobs WHERE project = ? AND name = ?", told.place)


def _service_stopped(told: Told) -> None:
    said = json.dumps({"reason": told.data["reason"], **told.said()})
    told.tables.executemany(
        "INSERT OR REPLACE INTO environment_stopped VALUES (?, ?, ?, ?, ?, ?)",
        [
            (*told.place, host, told.data["service"], found, said)
            for host, found in told.data["hashes"].items()
        ],
    )


def _service_started(told: Told) -> None:
    told.tables.execute(
        "DELETE FROM environment_stopped WHERE project = ? AND name = ? AND service = ?",
        (*told.place, told.data["service"]),
    )


def _drained(told: Told) -> None:
    """A drain in another mode takes the place of the one that stands."""
    drain = {key: told.data[key] for key in ("kind", "name", "mode", "reason")}
    told.set(drained=json.dumps([*_other_drains(told), {**drain, **told.said()}]))


def _undrained(told: Told) -> None:
    left = _other_drains(told)
    told.set(drained=json.dumps(left) if left else None)


def _other_drains(told: Told) -> list[dict[str, Any]]:
    """What is drained beside what the event names."""
    query = "SELECT drained FROM environments WHERE project = ? AND name = ? AND drained IS NOT NULL"
    row = told.tables.execute(query, told.place).fetchone()
    named = (told.data["kind"], told.data["name"])
    standing: list[dict[str, Any]] = [] if row is None else json.loads(row["drained"])
    return [one for one in standing if (one["kind"], one["name"]) != named]


def _watch_begun(told: Told) -> None:
    watch = {key: told.data[key] for key in ("release", "services", "until")}
    told.set(watch=json.dumps({**watch, "since": format_utc(told.event.time)}))


def _watch_over(told: Told) -> None:
    told.tables.execute(
        "UPDATE environments SET watch = NULL WHERE project = ? AND name = ?"
        " AND json_extract(watch, '$.release') = ?",
        (*told.place, told.data["release"]),
    )


STEERING: Mapping[str, Callable[[Told], None]] = {
    "EnvironmentOrphaned": _orphaned,
    "EnvironmentReturned": _returned,
    "RemovalDeferred": _removal_deferred,
    "PruneDeferred": _prune_deferred,
    "PruneConfirmed": _prune_confirmed,
    "DestroyRequested": _destroy_requested,
    "EnvironmentDestroyed": _destroyed,
    "EnvironmentHeld": _held,
    "HoldCleared": _hold_cleared,
    "EnvironmentSuspended": _suspended,
    "EnvironmentResumed": _resumed,
    "BreakerOpened": _breaker_opened,
    "BreakerClosed": _breaker_closed,
    "ServiceStopped": _service_stopped,
    "ServiceStarted": _service_started,
    "TrafficDrained": _drained,
    "TrafficUndrained": _undrained,
    "WatchBegun": _watch_begun,
    "WatchPassed": _watch_over,
    "WatchFailed": _watch_over,
    "WatchEnded": _watch_over,
}
