"""The library `eventsourcing`, used as its documentation says: recorder for SQLite, mapper, notifications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.domain import DomainEvent
from eventsourcing.persistence import DatetimeAsISO, DecimalAsStr, JSONTranscoder, Mapper, UUIDAsHex
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from events.envelope import Actor

_PAGE_EVENTS = 1000


@dataclass(frozen=True)
class ServiceReplaced(DomainEvent):
    """The event of the benchmark, with what our envelope carries beside it."""

    actor: str
    correlation: UUID
    causation: UUID
    host: str
    service: str
    old_ids: Sequence[str]
    new_ids: Sequence[str]
    reason: str


class Peer:
    """A log of the other library in the file at `path`."""

    def __init__(self, path: Path) -> None:
        transcoder = JSONTranscoder()
        for transcoding in (UUIDAsHex(), DatetimeAsISO(), DecimalAsStr()):
            transcoder.register(transcoding)
        self._mapper = Mapper[UUID](transcoder)
        self._store = SQLiteDatastore(str(path))
        self._recorder = SQLiteApplicationRecorder(self._store)
        self._recorder.create_table()

    def append(self, contents: Sequence[dict[str, Any]], *, actor: Actor) -> None:
        """Events of one new stream."""
        stream, correlation = uuid4(), uuid4()
        events = [
            ServiceReplaced(
                originator_id=stream,
                originator_version=version,
                timestamp=datetime.now(UTC),
                actor=f"{actor.kind}:{actor.id}",
                correlation=correlation,
                causation=uuid4(),
                host=one["host"],
                service=one["service"],
                old_ids=list(one["old_ids"]),
                new_ids=list(one["new_ids"]),
                reason=one["reason"],
            )
            for version, one in enumerate(contents, start=1)
        ]
        self._recorder.insert_events([self._mapper.to_stored_event(event) for event in events])

    def replay(self) -> int:
        """Read everything into domain events; how many there were."""
        start, seen = 1, 0
        while notifications := self._recorder.select_notifications(start, _PAGE_EVENTS):
            for notification in notifications:
                self._mapper.to_domain_event(notification)
            seen += len(notifications)
            start = notifications[-1].id + 1
        return seen

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()
