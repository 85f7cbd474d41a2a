"""What a reader of the log may ask for beside pages of everything: facts of the envelope, combined.

All that is given has to hold. Times are not among it: whoever has a time asks the log for the position that
it means (`EventLog.position_at`) and bounds positions. So a clock that went back changes no order, and a
page goes on exactly where the one before it ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from events.envelope import ActorKind

if TYPE_CHECKING:
    from uuid import UUID

    from events.envelope import StoredEvent
    from events.streams import StreamName

KINDS: tuple[str, ...] = get_args(ActorKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorQuery:
    """Who caused an event: a kind, an id, or both."""

    kind: str | None = None
    ids: tuple[str, ...] | None = None  # any of them; None: any id

    @classmethod
    def parsed(cls, text: str) -> ActorQuery:
        """`cli:act-1` means both, `cli` a kind, anything else an id."""
        kind, colon, actor_id = text.partition(":")
        if colon and kind in KINDS:
            return cls(kind=kind, ids=(actor_id,))
        return cls(kind=text) if text in KINDS else cls(ids=(text,))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Events by their envelope; nothing given: all of them, oldest first."""

    after: int = 0  # a position
    upto: int | None = None  # a position, which is included; None: the newest event
    positions: frozenset[int] | None = None  # any of them; None: any position
    stream: StreamName | None = None
    types: frozenset[str] = frozenset()  # any of them; empty: any type
    actor: ActorQuery | None = None
    correlation: UUID | None = None
    mentions: bytes = b""  # stands somewhere in the data as stored
    newest_first: bool = False
    limit: int | None = None

    def matches(self, event: StoredEvent) -> bool:
        """Whether an event is asked for; limit and order aside."""
        return (
            self.after < event.position
            and (self.upto is None or event.position <= self.upto)
            and (self.positions is None or event.position in self.positions)
            and self.stream in {None, event.stream}
            and (not self.types or event.type in self.types)
            and (self.actor is None or _is_by(self.actor, event))
            and self.correlation in {None, event.correlation}
            and self.mentions in event.data
        )


def check_limit(limit: int | None) -> None:
    """Raise ValueError for a negative limit of a read."""
    if limit is not None and limit < 0:
        raise ValueError(f"a limit cannot be negative: {limit}")


def _is_by(wanted: ActorQuery, event: StoredEvent) -> bool:
    kind_fits = wanted.kind in {None, event.actor.kind}
    return kind_fits and (wanted.ids is None or event.actor.id in wanted.ids)
