"""What the tests of the log share: events to propose and the adapters under test."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

from events.envelope import Actor, ProposedEvent
from events.log import EventLog, Expect, StreamAppend
from events.memory import MemoryEventLog
from events.sqlite import SqliteEventLog
from events.streams import StreamName

Adapter = Literal["memory", "sqlite"]
ADAPTERS: tuple[Adapter, ...] = ("memory", "sqlite")

A = StreamName("environment/shop/prod")
B = StreamName("release/rel-20260102-030405000")
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def proposed(
    data: bytes = b"{}",
    *,
    type_name: str = "Tested",
    event_id: UUID | None = None,
    time: datetime = WHEN,
) -> ProposedEvent:
    """An event whose id is new unless it is given."""
    event_id = event_id or uuid4()
    return ProposedEvent(
        id=event_id,
        type=type_name,
        schema=1,
        time=time,
        actor=Actor(kind="cli", id="act-0123456789ab"),
        correlation=event_id,
        causation=None,
        data=data,
    )


def part(
    stream: StreamName, *data: bytes, expected: int | Expect = Expect.ANY, type_name: str = "Tested"
) -> StreamAppend:
    """One event for each of `data`, one event without data when there are none."""
    events = tuple(proposed(one, type_name=type_name) for one in data or (b"{}",))
    return StreamAppend(stream=stream, events=events, expected=expected)


@contextmanager
def opened(adapter: Adapter, folder: Path) -> Generator[EventLog]:
    """A log of the adapter, closed afterwards."""
    log: EventLog = MemoryEventLog() if adapter == "memory" else SqliteEventLog(folder / "events.db")
    try:
        yield log
    finally:
        log.close()
