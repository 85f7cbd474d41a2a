"""The published form of an event."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

from events.envelope import Actor, StoredEvent
from events.streams import StreamName

EVENT = StoredEvent(
    position=7,
    stream=StreamName("host/local"),
    version=2,
    id=UUID(int=1),
    type="HostReached",
    schema=1,
    time=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    actor=Actor(kind="cli", id="act-1"),
    correlation=UUID(int=2),
    causation=UUID(int=3),
    data=b'{"host":"local"}',
)


def test_the_keys_of_an_event_in_json_are_a_contract() -> None:
    assert EVENT.as_json() == {
        "position": 7,
        "id": "00000000-0000-0000-0000-000000000001",
        "stream": "host/local",
        "version": 2,
        "type": "HostReached",
        "schema": 1,
        "time": "2026-01-02T03:04:05.678Z",
        "actor": {"kind": "cli", "id": "act-1"},
        "correlation": "00000000-0000-0000-0000-000000000002",
        "causation": "00000000-0000-0000-0000-000000000003",
        "data": {"host": "local"},
    }
    assert json.loads(json.dumps(EVENT.as_json())) == EVENT.as_json()


def test_what_an_event_was_made_of_is_decoded_from_its_row() -> None:
    assert (EVENT.id, EVENT.correlation, EVENT.causation) == (UUID(int=1), UUID(int=2), UUID(int=3))
    assert EVENT.actor == Actor(kind="cli", id="act-1")
    assert (EVENT.time, EVENT.time.tzinfo) == (datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), UTC)
    assert StoredEvent._make(EVENT) == EVENT
    assert EVENT._replace(position=8) != EVENT


def test_an_event_without_a_cause_says_so() -> None:
    assert EVENT._replace(causation_id=None).as_json()["causation"] is None
