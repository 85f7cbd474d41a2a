"""Events that a view cannot take: parked with their stream, said so, and folded when this version can.

An event of an unknown type, of a newer schema, or at which the fold fails stops its own stream and no other:
what follows in that stream may build on it, so it waits too, and the rows stay what they were before it.
Nothing is dropped: the log has the events, a row here has the first of them and how many wait. Which streams
are parked follows from the log and from this version, so a view made anew has the same ones.

An upgrade makes the view anew from the first event, for rows of several streams may depend on their order.
To fold the waiting events late, behind others that came after them, was dropped for that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, cast

from events.envelope import StoredEvent
from events.kernel.clock import format_utc, parse_utc
from events.schemas import SCHEMAS, Illegible

Why = Literal[Illegible, "failed"]
_MOST_TEXT = 500  # characters of an error


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A stream that a view waits with, and the event that it could not take."""

    view: str
    stream: str
    position: int
    type: str
    schema: int
    at: str  # RFC 3339, of that event
    why: Why
    error: str  # of the fold, empty for what was not tried
    events: int  # of the stream, that the view would have taken, with the first one

    def as_json(self) -> dict[str, Any]:
        """One object of `parked`; its keys are a published contract."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def words(self) -> str:
        """Why, as a person would say it."""
        match self.why:
            case "unknown-type":
                return f"{self.type} is of a newer Stagecraft"
            case "newer-schema":
                return f"{self.type} has schema {self.schema}, of a newer Stagecraft"
            case "failed":
                return f"{self.type} cannot be folded: {self.error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """What views wait with: they are behind the log by these streams, and by nothing else."""

    parked: tuple[Parked, ...]
    seconds: float  # since the oldest event that waits

    @property
    def events(self) -> int:
        """How many events wait; one that several views wait with counts once."""
        most: dict[str, int] = {}
        for one in self.parked:
            most[one.stream] = max(most.get(one.stream, 0), one.events)
        return sum(most.values())

    def as_json(self) -> dict[str, Any]:
        """The object of the key `lag`; its keys are a published contract."""
        return {
            "events": self.events,
            "seconds": self.seconds,
            "parked": [one.as_json() for one in self.parked],
        }


def lag_of(parked: Iterable[Parked], *, now: datetime) -> Lag | None:
    """How far views are behind, None when they are not."""
    found = tuple(parked)
    if not found:
        return None
    oldest = min(parse_utc(one.at) for one in found)
    return Lag(parked=found, seconds=round(max(0.0, (now - oldest).total_seconds()), 3))


def list_parked(tables: sqlite3.Connection, views: Collection[str]) -> list[Parked]:
    """What some views wait with, in the order of the log."""
    rows = tables.execute("SELECT * FROM parked ORDER BY position, view")
    return [Parked(**{name: row[name] for name in Parked.__slots__}) for row in rows if row["view"] in views]


def parked_streams(tables: sqlite3.Connection, view: str) -> set[str]:
    """The streams that a view waits with."""
    return {row["stream"] for row in tables.execute("SELECT stream FROM parked WHERE view = ?", (view,))}


def park(tables: sqlite3.Connection, view: str, event: StoredEvent, *, why: Why, error: str = "") -> None:
    """Wait with the stream of an event from this event on."""
    row = (
        view,
        event.stream,
        event.position,
        event.type,
        event.schema,
        format_utc(event.time),
        why,
        error[:_MOST_TEXT],
        this_version(),
    )
    tables.execute("INSERT INTO parked VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)", row)


def wait_with(tables: sqlite3.Connection, view: str, event: StoredEvent) -> None:
    """Count a further event of a stream that is parked."""
    tables.execute(
        "UPDATE parked SET events = events + 1 WHERE view = ? AND stream = ?", (view, event.stream)
    )


def may_be_taken(tables: sqlite3.Connection, view: str) -> bool:
    """Whether this version may take an event that the view waits with: it knows it, or is another one."""
    rows = tables.execute("SELECT type, schema, why, version FROM parked WHERE view = ?", (view,)).fetchall()
    return any(
        row["version"] != this_version()
        if row["why"] == "failed"
        else SCHEMAS.get(cast("str", row["type"]), 0) >= row["schema"]
        for row in rows
    )


@cache
def this_version() -> str:
    """The version of this Stagecraft; empty where it runs without being installed."""
    from importlib import metadata  # noqa: PLC0415  # it brings a parser of mail, and little is ever parked

    try:
        return metadata.version("stagecraft")
    except metadata.PackageNotFoundError:
        return ""
