"""Between an event and the columns that it is kept as: one mapping for every store, for the chain is over it.

Times are microseconds since 1970, ids their 16 bytes, the actor one text. What a row holds is what is hashed;
nothing is decoded and encoded again to prove it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast
from uuid import UUID

from events.chain import chained
from events.envelope import Actor, StoredEvent
from events.log import LogRow

if TYPE_CHECKING:
    from events.envelope import ActorKind
    from events.streams import StreamName

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def row_of(event: StoredEvent, *, previous: bytes) -> LogRow:
    """The row of an event that follows a row with the hash `previous`, or the genesis of the log.

    Raises struct.error for a number that does not fit in eight bytes.
    """
    event_id, correlation = event.id.bytes, event.correlation.bytes
    causation = None if event.causation is None else event.causation.bytes
    at_us = (event.time - _EPOCH) // _MICROSECOND
    actor = f"{event.actor.kind}:{event.actor.id}"
    digests = chained(
        previous=previous,
        position=event.position,
        event_id=event_id,
        stream=event.stream,
        version=event.version,
        type_name=event.type,
        schema=event.schema,
        at_us=at_us,
        actor=actor,
        correlation=correlation,
        causation=causation,
        data=event.data,
    )
    return LogRow(
        event.position,
        event_id,
        event.stream,
        event.version,
        event.type,
        event.schema,
        at_us,
        actor,
        correlation,
        causation,
        event.data,
        digests.data_hash,
        digests.leaf,
        digests.hash,
    )


def fits(row: LogRow, *, previous: bytes) -> bool:
    """Whether the digests of a row are those of what it says, after a row with the hash `previous`."""
    digests = chained(
        previous=previous,
        position=row.position,
        event_id=row.event_id,
        stream=row.stream,
        version=row.version,
        type_name=row.type,
        schema=row.schema,
        at_us=row.at_us,
        actor=row.actor,
        correlation=row.correlation,
        causation=row.causation,
        data=row.data,
    )
    return (digests.data_hash, digests.leaf, digests.hash) == (row.data_hash, row.leaf, row.hash)


def event_of(row: tuple[int, bytes, str, int, str, int, int, str, bytes, bytes | None, bytes]) -> StoredEvent:
    """The event of a row without its digests."""
    (
        position,
        event_id,
        stream,
        version,
        type_name,
        schema,
        at_us,
        actor,
        correlation,
        causation,
        data,
    ) = row
    kind, _, actor_id = actor.partition(":")
    return StoredEvent(
        position=position,
        stream=cast("StreamName", stream),
        version=version,
        id=UUID(bytes=event_id),
        type=type_name,
        schema=schema,
        time=_EPOCH + timedelta(microseconds=at_us),
        actor=Actor(kind=cast("ActorKind", kind), id=actor_id),
        correlation=UUID(bytes=correlation),
        causation=None if causation is None else UUID(bytes=causation),
        data=data,
    )
