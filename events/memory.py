"""The log in a process's memory: the port's promises in their plainest form, gone with the process.

It stays in the product because `plan` against nothing, demos and tests want a log without a disk, and
because what the contract suite proves of it is what the suite proves of the others.
"""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from events.appending import check_expectation, check_shape, fingerprint, placed
from events.broken import LogBrokenError
from events.chain import genesis
from events.kernel.errors import OutsideError
from events.log import LOG_UNAVAILABLE, Anchor, AppendIdReusedError, EventIdReusedError
from events.query import check_limit
from events.rows import row_of
from events.tokens import LockLostError, Token, refuse_stale

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from datetime import datetime
    from uuid import UUID

    from events.broken import LogProblem
    from events.envelope import StoredEvent
    from events.log import LogRow, StreamAppend
    from events.query import EventQuery
    from events.streams import StreamName


class MemoryEventLog:
    """An event log in a list. One lock guards it; threads may share it."""

    def __init__(self, *, lineage: str | None = None) -> None:
        self._log_id = secrets.token_hex(16)
        self._lineage = lineage or self._log_id
        self._events: list[StoredEvent] = []
        self._rows: list[LogRow] = []
        self._problem: LogProblem | None = None
        self._streams: dict[StreamName, list[StoredEvent]] = {}
        self._ids: set[UUID] = set()
        self._appends: dict[UUID, tuple[bytes, tuple[StoredEvent, ...]]] = {}
        self._tokens: dict[str, int] = {}
        self._closed = False
        self._changed = threading.Condition()

    @property
    def lineage(self) -> str:
        """The id it got when it was made, or was made with."""
        return self._lineage

    def append(
        self, parts: Sequence[StreamAppend], *, append_id: UUID | None = None
    ) -> tuple[StoredEvent, ...]:
        """Append all parts or none; see `EventLog.append`."""
        check_shape(parts)
        mark = fingerprint(parts)
        with self._open():
            if self._problem is not None:
                raise LogBrokenError(self._problem)
            if append_id is not None and append_id in self._appends:
                known, answer = self._appends[append_id]
                if known != mark:
                    raise AppendIdReusedError(append_id)
                return answer
            stored = self._placed(parts)
            for event in stored:
                self._rows.append(row_of(event, previous=self._anchor(len(self._rows)).hash))
                self._events.append(event)
                self._streams.setdefault(event.stream, []).append(event)
                self._ids.add(event.id)
            if append_id is not None:
                self._appends[append_id] = (mark, stored)
            self._changed.notify_all()
            return stored

    def _placed(self, parts: Sequence[StreamAppend]) -> tuple[StoredEvent, ...]:
        """All parts in their places, every expectation checked; changes nothing."""
        stored: list[StoredEvent] = []
        for part in parts:
            if part.token is not None:
                refuse_stale(part.token, self._tokens.get(part.token.name, 0))
            version = len(self._streams.get(part.stream, ()))
            check_expectation(part, version)
            stored += placed(part, position=len(self._events) + len(stored), version=version)
        for event in stored:
            if event.id in self._ids:
                raise EventIdReusedError(event.id)
        return tuple(stored)

    def newest_token(self, name: str) -> int:
        """The number of the newest token, 0 when none was ever drawn."""
        with self._open():
            return self._tokens.get(name, 0)

    def draw_token(self, name: str, *, after: int, vital: bool = False) -> Token:
        """The token that follows `after`; see `Tokens.draw_token`."""
        del vital  # a process without memory has other worries
        with self._open():
            newest = self._tokens.get(name, 0)
            if newest != after:
                raise LockLostError(name, mine=after, newest=newest)
            self._tokens[name] = after + 1
            return Token(name=name, number=after + 1)

    def head(self) -> int:
        """The position of the newest event, 0 for an empty log."""
        with self._open():
            return len(self._events)

    def stream_version(self, stream: StreamName) -> int:
        """The version of the newest event of `stream`, 0 when it has none."""
        with self._open():
            return len(self._streams.get(stream, ()))

    def read_stream(self, stream: StreamName, *, after_version: int = 0) -> list[StoredEvent]:
        """The events of one stream after a version, oldest first."""
        with self._open():
            return self._streams.get(stream, [])[max(after_version, 0) :]

    def read(
        self,
        *,
        after: int = 0,
        limit: int | None = None,
        stream: StreamName | None = None,
        type_name: str | None = None,
    ) -> list[StoredEvent]:
        """Events after a position, oldest first, optionally of one stream or one type."""
        check_limit(limit)
        with self._open():
            found = [
                event
                for event in self._events[max(after, 0) :]
                if stream in {None, event.stream} and type_name in {None, event.type}
            ]
            return found[:limit]

    def select(self, query: EventQuery) -> list[StoredEvent]:
        """The events that `query` asks for, in its order."""
        check_limit(query.limit)
        with self._open():
            found = [event for event in self._events if query.matches(event)]
        return (found[::-1] if query.newest_first else found)[: query.limit]

    def position_at(self, moment: datetime) -> int:
        """The position of the last event whose time is at or before `moment`."""
        with self._open():
            return next((one.position for one in reversed(self._events) if one.time <= moment), 0)

    def streams(self, prefix: str = "") -> list[StreamName]:
        """The names of all streams that start with `prefix`, sorted."""
        with self._open():
            return sorted(name for name in self._streams if name.startswith(prefix))

    def rows(self, *, after: int = 0, limit: int | None = None) -> list[LogRow]:
        """Events after a position as a file would store them."""
        check_limit(limit)
        with self._open():
            return self._rows[max(after, 0) :][:limit]

    def anchor(self, position: int | None = None) -> Anchor:
        """The place of an event in the chain, None: of the newest one; see `EventLog.anchor`."""
        with self._open():
            return self._anchor(len(self._rows) if position is None else position)

    def _anchor(self, position: int) -> Anchor:
        if not 0 <= position <= len(self._rows):
            raise ValueError(f"the log has no event {position}")
        log_id, lineage = self._log_id, self._lineage
        found = self._rows[position - 1].hash if position else genesis(log_id=log_id, lineage=lineage)
        return Anchor(log_id=log_id, lineage=lineage, position=position, hash=cast("bytes", found))

    def problem(self) -> LogProblem | None:
        """What was found wrong with the log."""
        with self._open():
            return self._problem

    def mark_broken(self, problem: LogProblem) -> None:
        """Refuse every append from now on."""
        with self._open():
            self._problem = problem

    def clear_broken(self) -> None:
        """Take appends again."""
        with self._open():
            self._problem = None

    def wait_for(self, after: int, timeout_seconds: float) -> int:
        """The head, as soon as it is beyond `after` or when the time is over."""
        deadline = time.monotonic() + timeout_seconds
        with self._open():
            while len(self._events) <= after and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
                self._refuse_when_closed()
            return len(self._events)

    def close(self) -> None:
        """Refuse every later call and wake whoever waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @contextmanager
    def _open(self) -> Generator[None]:
        """Hold the lock. Raises OutsideError `log-unavailable` after `close`, as a closed file would."""
        with self._changed:
            self._refuse_when_closed()
            yield

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise OutsideError(LOG_UNAVAILABLE, "the event log is closed")
