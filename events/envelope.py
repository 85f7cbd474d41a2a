"""One event as it is stored and as it is proposed.

An event says what happened (its class, in `catalog/`), to whom it happened (its stream), who caused it
(actor), within which undertaking (correlation) and because of which event (causation). Position is its
place in the whole log: dense, from 1. Version is its place in its stream: dense, from 1.

`data` keeps the stored bytes. Whoever needs fields decodes them through the catalogue; whoever needs
proof hashes the bytes and never encodes again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from events.kernel.clock import format_utc

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from events.streams import StreamName

ActorKind = Literal["git", "cli", "api", "webhook", "controller", "schedule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who caused an event. `id` is a pseudonym; the name behind it stands in the table of `actors.py`."""

    kind: ActorKind
    id: str


CONTROLLER = Actor(kind="controller", id="controller")
SCHEDULE = Actor(kind="schedule", id="schedule")
"""Stagecraft itself: it is no person and needs no pseudonym."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedEvent:
    """An event before it has a place in the log; made by `catalog.propose`."""

    id: UUID
    type: str
    schema: int
    time: datetime  # aware
    actor: Actor
    correlation: UUID
    causation: UUID | None  # None: nothing in the log caused it
    data: bytes  # canonical JSON object


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event with its place."""

    position: int  # 1-based, dense in the log
    stream: StreamName
    version: int  # 1-based, dense in the stream
    id: UUID
    type: str
    schema: int
    time: datetime  # aware, UTC
    actor: Actor
    correlation: UUID
    causation: UUID | None
    data: bytes

    def as_json(self) -> dict[str, Any]:
        """The object that `events list --json` prints; its keys are a published contract."""
        return {
            "position": self.position,
            "id": str(self.id),
            "stream": self.stream,
            "version": self.version,
            "type": self.type,
            "schema": self.schema,
            "time": format_utc(self.time),
            "actor": {"kind": self.actor.kind, "id": self.actor.id},
            "correlation": str(self.correlation),
            "causation": None if self.causation is None else str(self.causation),
            "data": json.loads(self.data),
        }
