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
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, cast
from uuid import UUID

from events.kernel.clock import format_utc

if TYPE_CHECKING:
    from events.streams import StreamName

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

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


class _Columns(NamedTuple):
    """An event as a store keeps it: what is hashed, and what an event is read from without a step between."""

    position: int  # 1-based, dense in the log
    event_id: bytes
    stream: StreamName
    version: int  # 1-based, dense in the stream
    type: str
    schema: int
    at_us: int  # microseconds since 1970, UTC
    actor_text: str  # `kind:id`
    correlation_id: bytes
    causation_id: bytes | None
    data: bytes


class StoredEvent(_Columns):
    """An event with its place, equal to another one with the same columns.

    It is the row itself, and decodes an id, the time and the actor for whoever asks for them. A fold of a
    long log asks for little of that; with all fields decoded beforehand it took twice as long and more.
    """

    __slots__ = ()

    def __new__(  # noqa: PLR0913  # each is a column
        cls,
        *,
        position: int,
        stream: StreamName,
        version: int,
        id: UUID,  # noqa: A002  # the published name
        type: str,  # noqa: A002  # the published name
        schema: int,
        time: datetime,  # aware
        actor: Actor,
        correlation: UUID,
        causation: UUID | None,
        data: bytes,
    ) -> Self:
        """The row of an event; `StoredEvent._make` takes a row as it is."""
        return cls._make(
            (
                position,
                id.bytes,
                stream,
                version,
                type,
                schema,
                (time - EPOCH) // MICROSECOND,
                f"{actor.kind}:{actor.id}",
                correlation.bytes,
                None if causation is None else causation.bytes,
                data,
            )
        )

    @property
    def id(self) -> UUID:
        """The event's own."""
        return UUID(bytes=self.event_id)

    @property
    def time(self) -> datetime:
        """When it was proposed; aware, in UTC."""
        return EPOCH + timedelta(microseconds=self.at_us)

    @property
    def actor(self) -> Actor:
        """Who caused it."""
        kind, _, actor_id = self.actor_text.partition(":")
        return Actor(kind=cast("ActorKind", kind), id=actor_id)

    @property
    def correlation(self) -> UUID:
        """The undertaking that it belongs to."""
        return UUID(bytes=self.correlation_id)

    @property
    def causation(self) -> UUID | None:
        """The event because of which it happened, None: nothing in the log caused it."""
        return None if self.causation_id is None else UUID(bytes=self.causation_id)

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
