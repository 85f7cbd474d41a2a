"""The port of the event log: append with an expectation, read, follow.

Promises of every adapter (one contract suite proves them):

- Positions are dense and in the order of commits: whoever has read up to N has missed nothing up to N.
- An append is all or nothing, across the streams it names, and is durable when the call returns.
- Each part states what it expects of its stream's version; one that does not hold refuses the whole append.
  So does a part's token when a newer one was drawn (`events/tokens.py`).
- An append id makes a repeat harmless: the same events again answer the first positions, other events under
  the same id are refused. What counts is streams, types and data; event ids and times may be new.
- An event id stands in the log once.
- Each event is chained to the one before (`events/chain.py`). A log that was found broken, or whose end does
  not fit its head, takes no append until it verifies again.
- A wake-up is a hint; the query is the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from events.kernel.errors import InternalError, OutsideError, error_code
from events.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from events.broken import LogProblem
    from events.envelope import ProposedEvent, StoredEvent
    from events.query import EventQuery
    from events.streams import StreamName
    from events.tokens import Token

VERSION_CONFLICT = error_code(
    "version-conflict",
    "Somebody else appended to the stream after it was read; read it again and decide again.",
)
APPEND_ID_REUSED = error_code("append-id-reused", "An append id was used before for other events.")
EVENT_ID_REUSED = error_code("event-id-reused", "An event with this id stands in the log already.")
LOG_UNAVAILABLE = error_code("log-unavailable", "The event log's file cannot be opened, read or written.")
LOG_BUSY = error_code("log-busy", "More is waiting to be appended to the event log than its disk can take.")
LOG_TOO_NEW = error_code("log-too-new", "The event log was written by a newer Stagecraft.")


class Expect(Enum):
    """What an append may expect of a stream beside an exact version."""

    ANY = "any"
    NO_STREAM = "no-stream"  # nothing was appended to it yet
    EXISTS = "exists"  # at least one event


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamAppend:
    """Events for one stream, in order. `expected` is an exact version (0: none yet) or one of `Expect`."""

    stream: StreamName
    events: tuple[ProposedEvent, ...]  # at least one
    expected: int | Expect = Expect.ANY
    token: Token | None = None  # must be the newest of its name; None: whoever appends needs no lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A place in the chain of one log: all that must be kept elsewhere to prove everything up to it."""

    log_id: str
    lineage: str
    position: int  # 0: before the first event
    hash: bytes


class LogRow(NamedTuple):
    """An event as it is stored, with its digests: what a verification and an export work on.

    The last three are None in the file of an older Stagecraft that could not be brought up to date.
    """

    position: int
    event_id: bytes
    stream: StreamName
    version: int
    type: str
    schema: int
    at_us: int  # microseconds since 1970
    actor: str  # `kind:id`
    correlation: bytes
    causation: bytes | None
    data: bytes
    data_hash: bytes | None
    leaf: bytes | None
    hash: bytes | None


class VersionConflictError(OutsideError):
    """An expectation did not hold; nothing was written."""

    def __init__(self, stream: str, *, expected: int | Expect, actual: int) -> None:
        wanted = expected.value if isinstance(expected, Expect) else f"version {expected}"
        super().__init__(VERSION_CONFLICT, f"stream {stream}: expected {wanted}, it is at version {actual}")
        self.stream = stream
        self.actual = actual


class AppendIdReusedError(InternalError):
    """The append id names other events; nothing was written."""

    def __init__(self, append_id: UUID) -> None:
        super().__init__(APPEND_ID_REUSED, f"append id {append_id} was used for other events")


class EventIdReusedError(InternalError):
    """The log has an event of this id; nothing was written."""

    def __init__(self, event_id: UUID) -> None:
        super().__init__(EVENT_ID_REUSED, f"event {event_id} stands in the log already")


class EventLog(Tokens, Protocol):
    """An append-only log of events, with the tokens of those who may append and act."""

    @property
    def lineage(self) -> str:
        """The id that the log got when it was made; forks and copies keep it."""
        ...

    def append(
        self, parts: Sequence[StreamAppend], *, append_id: UUID | None = None
    ) -> tuple[StoredEvent, ...]:
        """Append all parts, each stream at most once, and answer the stored events in order.

        Raises VersionConflictError, LockLostError, AppendIdReusedError, EventIdReusedError, LogBrokenError
        and OutsideError `log-busy`, having written nothing;
        ValueError for a request that names a stream or an event twice or has no events; OutsideError
        `log-unavailable` when the store fails. Then it may have been written all the same, when the store
        failed late; a repeat with the same append id answers what came of it.
        """
        ...

    def head(self) -> int:
        """The position of the newest event, 0 for an empty log."""
        ...

    def stream_version(self, stream: StreamName) -> int:
        """The version of the newest event of `stream`, 0 when it has none."""
        ...

    def read_stream(self, stream: StreamName, *, after_version: int = 0) -> list[StoredEvent]:
        """The events of one stream after a version, oldest first."""
        ...

    def read(
        self,
        *,
        after: int = 0,
        limit: int | None = None,
        stream: StreamName | None = None,
        type_name: str | None = None,
    ) -> list[StoredEvent]:
        """Events after a position, oldest first, optionally of one stream or one type."""
        ...

    def select(self, query: EventQuery) -> list[StoredEvent]:
        """The events that `query` asks for, in its order."""
        ...

    def position_at(self, moment: datetime) -> int:
        """The position of the last event, in the order of positions, whose time is at or before `moment`.

        0 when there is none. Clocks go back at times, positions never do.
        """
        ...

    def streams(self, prefix: str = "") -> list[StreamName]:
        """The names of all streams that start with `prefix`, sorted."""
        ...

    def rows(self, *, after: int = 0, limit: int | None = None) -> list[LogRow]:
        """Events after a position as they are stored, oldest first, without a look at their digests."""
        ...

    def anchor(self, position: int | None = None) -> Anchor:
        """The place of the event at `position`, None: of the newest one, as the log says it.

        Raises ValueError for a position that the log does not have.
        """
        ...

    def problem(self) -> LogProblem | None:
        """What was found wrong with the log, None: nothing so far."""
        ...

    def mark_broken(self, problem: LogProblem) -> None:
        """Refuse every append from now on, in all processes, durably; a later problem replaces a former."""
        ...

    def clear_broken(self) -> None:
        """Take appends again, for the log was verified."""
        ...

    def wait_for(self, after: int, timeout_seconds: float) -> int:
        """The head, as soon as it is beyond `after` or when the time is over, whichever is first.

        Blocks its thread. Raises OutsideError `log-unavailable` when the log is closed meanwhile.
        """
        ...

    def close(self) -> None:
        """Release the store; a second call does nothing."""
        ...
