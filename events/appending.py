"""The rules of an append that every adapter of the log shares: they are here once, the stores differ.

Order matters and is the same everywhere: first the shape of the request, then the append id (a repeat is
answered although its expectation no longer holds), then the expectations, then the writing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from events.envelope import StoredEvent
from events.log import Expect, VersionConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from events.envelope import ProposedEvent
    from events.log import StreamAppend
    from events.streams import StreamName


def check_shape(parts: Sequence[StreamAppend]) -> None:
    """Raise ValueError for a request that no log could take: it is a mistake of the caller."""
    if not parts:
        raise ValueError("an append without parts")
    streams: set[str] = set()
    ids: set[UUID] = set()
    for part in parts:
        if part.stream in streams or not part.stream:
            raise ValueError(f"an append names each stream once, and by a name: {part.stream!r}")
        streams.add(part.stream)
        if not part.events:
            raise ValueError(f"an append without events to stream {part.stream}")
        if isinstance(part.expected, int) and part.expected < 0:
            raise ValueError(f"stream {part.stream}: no stream has version {part.expected}")
        for event in part.events:
            if event.id in ids:
                raise ValueError("an append names each event once")
            ids.add(event.id)
            if event.time.utcoffset() is None:
                raise ValueError("an event needs a time with an offset")


def check_expectation(part: StreamAppend, actual: int) -> None:
    """Raise VersionConflictError unless a stream at version `actual` is what `part` expects."""
    match part.expected:
        case Expect.ANY:
            holds = True
        case Expect.NO_STREAM:
            holds = actual == 0
        case Expect.EXISTS:
            holds = actual > 0
        case version:
            holds = actual == version
    if not holds:
        raise VersionConflictError(part.stream, expected=part.expected, actual=actual)


def fingerprint(parts: Sequence[StreamAppend]) -> bytes:
    """32 bytes that say whether two appends mean the same: streams, types, schemas and data, in order.

    Event ids, times and expectations are left out, because a writer that starts again after a crash makes
    them anew. Each piece is preceded by its length, so that no two requests run together to one text.
    """
    digest = hashlib.sha256()

    def add(piece: bytes) -> None:
        digest.update(len(piece).to_bytes(8, "big"))
        digest.update(piece)

    for part in parts:
        add(part.stream.encode())
        digest.update(len(part.events).to_bytes(8, "big"))
        for event in part.events:
            add(event.type.encode())
            digest.update(event.schema.to_bytes(8, "big"))
            add(event.data)
    return digest.digest()


def placed(part: StreamAppend, *, position: int, version: int) -> list[StoredEvent]:
    """The events of `part` in their places: the first one after `position` and `version`."""
    return [
        placed_event(event, stream=part.stream, position=position + offset, version=version + offset)
        for offset, event in enumerate(part.events, start=1)
    ]


def placed_event(
    event: ProposedEvent | StoredEvent, *, stream: StreamName, position: int, version: int
) -> StoredEvent:
    """An event in its place of a log, whatever place it had in another one."""
    return StoredEvent(
        position=position,
        stream=stream,
        version=version,
        id=event.id,
        type=event.type,
        schema=event.schema,
        time=event.time,
        actor=event.actor,
        correlation=event.correlation,
        causation=event.causation,
        data=event.data,
    )
