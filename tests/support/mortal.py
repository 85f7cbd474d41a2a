"""A process that dies, or is taken over, at a chosen moment; played inside the test's own process.

The moments of a controller are its appends, before and after each, and its calls to an engine. When its time
has come a `Killed` goes up through it, and from then on it can neither append nor call: what its own
`finally` blocks still try is not done, as it is not done by a process that SIGKILL ended.

Taken over is one that was stopped for a while: at the chosen moment somebody else draws a token, and whatever
the first one appends to the environment or changes on the engine from then on is a mistake, noted in `late`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from events.broken import LogProblem
from events.envelope import StoredEvent
from events.log import Anchor, EventLog, LogRow, StreamAppend
from events.query import EventQuery
from events.streams import StreamName
from events.tokens import Token


class Killed(BaseException):
    """The process is gone: no handler of the product may see this."""


@dataclass(slots=True, kw_only=True)
class Fate:
    """When one controller dies, and how far it has got."""

    left: int | None = None  # moments until it dies; None: it lives on
    dead: bool = False
    moments: int = 0  # so far
    left_to_takeover: int | None = None  # moments with the lock until somebody takes over; None: nobody does
    has_lock: Callable[[], bool] = lambda: True
    take_over: Callable[[], None] = lambda: None
    taken_over: bool = False  # in the work under way
    late: list[str] = field(default_factory=list[str])  # what was done all the same

    def moment(self) -> None:
        """One more moment of its life. Raises Killed at the last one and at each later one."""
        if self.dead:
            raise Killed
        self.moments += 1
        if self.left_to_takeover is not None and self.has_lock():
            self.left_to_takeover -= 1
            if self.left_to_takeover < 0:
                self.left_to_takeover, self.taken_over = None, True
                self.take_over()
        if self.left is None:
            return
        if self.left == 0:
            self.dead = True
            raise Killed
        self.left -= 1

    def work_is_over(self) -> None:
        """What was planned for this work and did not come about does not come about."""
        self.left, self.left_to_takeover, self.taken_over = None, None, False


class MortalLog:
    """The log as one controller has it in its hands."""

    def __init__(
        self, log: EventLog, fate: Fate, *, witness: Callable[[Sequence[StreamAppend]], None] | None = None
    ) -> None:
        """`witness` sees each append right before it is made and may object."""
        self._log, self._fate, self._witness = log, fate, witness

    @property
    def lineage(self) -> str:
        """As the log's."""
        return self._log.lineage

    def append(
        self, parts: Sequence[StreamAppend], *, append_id: UUID | None = None
    ) -> tuple[StoredEvent, ...]:
        """A moment before and a moment after."""
        self._fate.moment()
        if self._witness is not None:
            self._witness(parts)
        stored = self._log.append(parts, append_id=append_id)
        if self._fate.taken_over:
            streams = (part.stream for part in parts)
            self._fate.late += [one for one in streams if one.startswith(("environment/", "release/"))]
        self._fate.moment()
        return stored

    def newest_token(self, name: str) -> int:
        """As the log's."""
        return self._log.newest_token(name)

    def draw_token(self, name: str, *, after: int, vital: bool = False) -> Token:
        """A moment before and a moment after."""
        self._fate.moment()
        token = self._log.draw_token(name, after=after, vital=vital)
        self._fate.moment()
        return token

    def head(self) -> int:
        """As the log's."""
        return self._log.head()

    def stream_version(self, stream: StreamName) -> int:
        """As the log's."""
        return self._log.stream_version(stream)

    def read_stream(self, stream: StreamName, *, after_version: int = 0) -> list[StoredEvent]:
        """As the log's."""
        return self._log.read_stream(stream, after_version=after_version)

    def read(
        self,
        *,
        after: int = 0,
        limit: int | None = None,
        stream: StreamName | None = None,
        type_name: str | None = None,
    ) -> list[StoredEvent]:
        """As the log's."""
        return self._log.read(after=after, limit=limit, stream=stream, type_name=type_name)

    def select(self, query: EventQuery) -> list[StoredEvent]:
        """As the log's."""
        return self._log.select(query)

    def position_at(self, moment: datetime) -> int:
        """As the log's."""
        return self._log.position_at(moment)

    def streams(self, prefix: str = "") -> list[StreamName]:
        """As the log's."""
        return self._log.streams(prefix)

    def rows(self, *, after: int = 0, limit: int | None = None) -> list[LogRow]:
        """As the log's."""
        return self._log.rows(after=after, limit=limit)

    def anchor(self, position: int | None = None) -> Anchor:
        """As the log's."""
        return self._log.anchor(position)

    def problem(self) -> LogProblem | None:
        """As the log's."""
        return self._log.problem()

    def mark_broken(self, problem: LogProblem) -> None:
        """As the log's."""
        self._log.mark_broken(problem)

    def clear_broken(self) -> None:
        """As the log's."""
        self._log.clear_broken()

    def wait_for(self, after: int, timeout_seconds: float) -> int:
        """As the log's."""
        return self._log.wait_for(after, timeout_seconds)

    def close(self) -> None:
        """The log belongs to no controller alone."""
