"""What the log knows to run on each host, and since when: at any position, not only the newest.

A container is there from the event that names it as new to the event that names it as gone. What happened to
it in between without an event, nobody can tell from here: engines know what runs, the log knows what was
made, taken over, and taken away. What a person or the engine said of a service meanwhile (it was stopped, it
ended by itself) stands beside it until something newer is said.

A job that ran to its end has no container, and one that failed none that runs: both are left out. When a
host's name is bound to another machine, nothing that was made before is on the host of that name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from events.envelope import StoredEvent
from events.kernel.clock import format_utc
from events.streams import split_environment
from projections.view import View

_STAYS = 2**62  # of a container that no event names as gone

_TABLES = {
    "resident_releases": """
        CREATE TABLE resident_releases (id TEXT PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL)
        WITHOUT ROWID
    """,
    "resident_hosts": "CREATE TABLE resident_hosts (host TEXT PRIMARY KEY) WITHOUT ROWID",
    "residents": """
        CREATE TABLE residents (
            host TEXT NOT NULL, gone INTEGER NOT NULL, container TEXT NOT NULL,
            came INTEGER NOT NULL, came_at TEXT NOT NULL,
            project TEXT NOT NULL, name TEXT NOT NULL, service TEXT NOT NULL, release TEXT NOT NULL,
            PRIMARY KEY (host, gone, container)
        ) WITHOUT ROWID
    """,
    "resident_words": """
        CREATE TABLE resident_words (
            project TEXT NOT NULL, name TEXT NOT NULL, host TEXT NOT NULL, service TEXT NOT NULL,
            position INTEGER NOT NULL, at TEXT NOT NULL, said TEXT NOT NULL,
            PRIMARY KEY (project, name, host, service, position)
        ) WITHOUT ROWID
    """,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A container that the log knew on a host."""

    host: str
    project: str
    name: str  # of the environment
    service: str
    container: str  # 64 hex digits
    release: str  # in which it came
    since: str  # RFC 3339
    position: int  # of the event that it came with
    note: str  # what was said of its service since it came, with the time; empty: nothing

    def as_json(self) -> dict[str, Any]:
        """One of `containers` in `hosts show --json`."""
        return {
            "project": self.project,
            "environment": self.name,
            "service": self.service,
            "container": self.container,
            "release": self.release,
            "since": self.since,
            "position": self.position,
            "note": self.note,
        }


def known_hosts(tables: sqlite3.Connection) -> list[str]:
    """Every host on which a container ever was, sorted."""
    return [row["host"] for row in tables.execute("SELECT host FROM resident_hosts ORDER BY host")]


def ran_on(tables: sqlite3.Connection, host: str, *, position: int) -> list[Resident]:
    """The containers on a host as of `position`, by environment, service and when they came."""
    rows = tables.execute(
        "SELECT * FROM residents WHERE host = ? AND gone > ? AND came <= ?"
        " ORDER BY project, name, service, came, container",
        (host, position, position),
    ).fetchall()
    return [_resident(tables, row, position) for row in rows]


def ran_in(tables: sqlite3.Connection, project: str, name: str, *, position: int) -> list[Resident]:
    """The containers of an environment on all hosts as of `position`, by host, service and when they came."""
    rows = [
        row
        for host in known_hosts(tables)
        for row in tables.execute(
            "SELECT * FROM residents WHERE host = ? AND gone > ? AND came <= ? AND project = ? AND name = ?"
            " ORDER BY service, came, container",
            (host, position, position, project, name),
        )
    ]
    return [_resident(tables, row, position) for row in rows]


def _resident(tables: sqlite3.Connection, row: sqlite3.Row, position: int) -> Resident:
    said = tables.execute(
        "SELECT position, at, said FROM resident_words WHERE project = ? AND name = ? AND host = ?"
        " AND service = ? AND position <= ? ORDER BY position DESC LIMIT 1",
        (row["project"], row["name"], row["host"], row["service"], position),
    ).fetchone()
    note = ""
    if said is not None and said["position"] > row["came"] and said["said"]:
        note = f"{said['said']} at {said['at']}"
    return Resident(
        host=row["host"],
        project=row["project"],
        name=row["name"],
        service=row["service"],
        container=row["container"],
        release=row["release"],
        since=row["came_at"],
        position=row["came"],
        note=note,
    )


@dataclass(frozen=True, kw_only=True)
class _Told:
    """One event, and where its consequences go."""

    tables: sqlite3.Connection
    event: StoredEvent
    data: dict[str, Any]

    @cached_property
    def place(self) -> tuple[str, str] | None:
        """The environment, by the event's stream or by the Release whose stream it is; None: unknown."""
        own = split_environment(self.event.stream)
        if own is not None:
            return own
        query = "SELECT project, name FROM resident_releases WHERE id = ?"
        found = self.tables.execute(query, (self.event.stream.partition("/")[2],)).fetchone()
        return None if found is None else (found["project"], found["name"])

    def come(self, containers: Iterable[str], *, release: str) -> None:
        """Containers are there from now on; one that is there already stays what it is."""
        place = self.place
        if place is None:
            return
        host, service = self.data["host"], self.data["service"]
        self.tables.execute("INSERT OR IGNORE INTO resident_hosts VALUES (?)", (host,))
        came = (self.event.position, format_utc(self.event.time))
        self.tables.executemany(
            "INSERT OR IGNORE INTO residents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(host, _STAYS, one, *came, *place, service, release) for one in containers if one],
        )

    def go(self, host: str, containers: Iterable[str]) -> None:
        """Containers are gone from now on."""
        self.tables.executemany(
            "UPDATE residents SET gone = ? WHERE host = ? AND gone = ? AND container = ?",
            [(self.event.position, host, _STAYS, one) for one in containers],
        )

    def say(self, words: str, hosts: Iterable[str]) -> None:
        """Something was said of a service; nothing is said again of one of which nothing was."""
        place = self.place
        if place is None:
            return
        for host in hosts:
            key = (*place, host, self.data["service"])
            query = "SELECT 1 FROM resident_words WHERE project = ? AND name = ? AND host = ? AND service = ?"
            if words or self.tables.execute(query, key).fetchone() is not None:
                self.tables.execute(
                    "INSERT OR REPLACE INTO resident_words VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (*key, self.event.position, format_utc(self.event.time), words),
                )

    def all_hosts(self) -> list[str]:
        """Where containers ever were: for a word that names no host."""
        return known_hosts(self.tables)


def _requested(told: _Told) -> None:
    place = told.place
    if place is not None:
        told.tables.execute(
            "INSERT OR IGNORE INTO resident_releases VALUES (?, ?, ?)", (told.data["release"], *place)
        )


def _replaced(told: _Told) -> None:
    new = told.data["new_ids"]
    told.go(told.data["host"], [one for one in told.data["old_ids"] if one not in new])
    told.come(new, release=told.event.stream.partition("/")[2])
    told.say("", [told.data["host"]])


def _beside(told: _Told) -> None:
    told.come(told.data["new_ids"], release=told.event.stream.partition("/")[2])


def _withdrawn(told: _Told) -> None:
    told.go(told.data["host"], told.data["containers"])


def _adopted(told: _Told) -> None:
    if not told.data.get("job"):
        told.come(told.data["containers"], release=told.data["release"])


def _destroyed(told: _Told) -> None:
    for host, belongings in told.data["hosts"].items():
        told.go(host, belongings["containers"])


def _rebound(told: _Told) -> None:
    told.tables.execute(
        "UPDATE residents SET gone = ? WHERE host = ? AND gone = ?",
        (told.event.position, told.data["host"], _STAYS),
    )


def _stopped(told: _Told) -> None:
    reason = f": {told.data['reason']}" if told.data.get("reason") else ""
    told.say(f"stopped by a person{reason}", told.data["hashes"])


def _started(told: _Told) -> None:
    told.say("", told.all_hosts())


def _restarted(told: _Told) -> None:
    told.say("", told.data["hosts"])


def _changed(told: _Told) -> None:
    told.say(f"{told.data['state']} ({told.data['count']} times)", [told.data["host"]])


_HANDLERS: dict[str, Callable[[_Told], None]] = {
    "DeployRequested": _requested,
    "RevertDetected": _requested,
    "RollbackRequested": _requested,
    "AdoptionRequested": _requested,
    "ServiceReplaced": _replaced,
    "ServiceStartedBeside": _beside,
    "ServiceWithdrawn": _withdrawn,
    "ServiceAdopted": _adopted,
    "EnvironmentDestroyed": _destroyed,
    "HostRebound": _rebound,
    "ServiceStopped": _stopped,
    "ServiceStarted": _started,
    "ServiceRestarted": _restarted,
    "ContainerStateChanged": _changed,
}


def _apply(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
    _HANDLERS[event.type](_Told(tables=tables, event=event, data=data))


RESIDENTS = View(name="residents", version=1, tables=_TABLES, concerns=frozenset(_HANDLERS), apply=_apply)
