"""Appending with the care that every writer needs: ids, time, actor and cause filled in at one place.

A recorder belongs to one undertaking: it carries who acts and the correlation, and each event it appends
becomes the cause of the next, so that the trail of one container leads back to the commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.catalog import propose
from events.log import Expect, StreamAppend
from events.reserve import is_vital
from events.streams import kind_of

if TYPE_CHECKING:
    from uuid import UUID

    from events.catalog import Event
    from events.envelope import Actor, ProposedEvent, StoredEvent
    from events.kernel.clock import Clock
    from events.kernel.ids import Ids
    from events.log import EventLog
    from events.streams import StreamName
    from events.tokens import Tenure


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Appends events of one undertaking. `correlation` None: the first event begins it.

    With a `tenure` nothing is appended once somebody else has taken the environment over.
    """

    log: EventLog
    ids: Ids
    clock: Clock
    actor: Actor
    correlation: UUID | None = None
    causation: UUID | None = None
    tenure: Tenure | None = None

    def append(
        self, stream: StreamName, *events: Event, expected: int | Expect = Expect.ANY
    ) -> tuple[StoredEvent, ...]:
        """Append `events` to one stream, all or none; errors are those of `EventLog.append`.

        Raises ValueError for an event that belongs to streams of another kind.
        """
        correlation, causation = self.correlation, self.causation
        proposed: list[ProposedEvent] = []
        for event in events:
            one = propose(
                event,
                ids=self.ids,
                clock=self.clock,
                actor=self.actor,
                correlation=correlation,
                causation=causation,
            )
            if kind_of(stream) != event.STREAM:
                raise ValueError(f"{one.type} belongs to {event.STREAM} streams, not to {stream}")
            correlation, causation = one.correlation, one.id
            proposed.append(one)
        vital = is_vital(one.type for one in proposed)
        token = None if self.tenure is None else self.tenure.token(vital=vital)
        part = StreamAppend(stream=stream, events=tuple(proposed), expected=expected, token=token)
        stored = self.log.append([part])
        self.correlation, self.causation = correlation, causation
        return stored
