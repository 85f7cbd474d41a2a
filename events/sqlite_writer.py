"""The writing half of the log in a file: a queue, transactions behind it, and what is refused before both.

It is made with the first append and not with the log. Most commands only read, and what writes costs them a
tenth of their time: threads, digests and the library that reckons these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from events.appending import check_shape
from events.group_commit import ClosedError, FullError, GroupCommit, UnansweredError
from events.kernel.errors import OutsideError, Where
from events.log import LOG_BUSY, LOG_UNAVAILABLE
from events.reserve import is_vital
from events.sqlite_append import Request
from events.sqlite_commit import SqliteCommit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from uuid import UUID

    from events.envelope import StoredEvent
    from events.log import StreamAppend
    from events.reserve import Reserve
    from events.sqlite_file import SqliteFile

T = TypeVar("T")


class SqliteWriter:
    """Appends to the `file` at `path`; threads may share it. `written` is called after each transaction."""

    def __init__(
        self, file: SqliteFile, path: Path, *, reserve: Reserve | None, written: Callable[[], None]
    ) -> None:
        self._path = path
        self._commits = SqliteCommit(file, path, reserve=reserve, written=written)
        self._queue = GroupCommit(self._commits.commit, name=f"writer of {path}")

    def append(self, parts: Sequence[StreamAppend], *, append_id: UUID | None) -> tuple[StoredEvent, ...]:
        """Append all parts or none, durably; see `EventLog.append`."""
        check_shape(parts)
        vital = is_vital(event.type for part in parts for event in part.events)
        try:
            return self._queue.ask(Request(parts=parts, append_id=append_id, vital=vital))
        except FullError as error:
            raise OutsideError(
                LOG_BUSY,
                "more is waiting to be appended to the event log than its disk can take",
                where=self._where,
                why="nothing of this append was written",
                next=f"look at the disk of {self._path.parent}, then try again",
            ) from error
        except UnansweredError as error:
            raise OutsideError(
                LOG_UNAVAILABLE,
                "the disk of the event log does not answer",
                where=self._where,
                why="whether this append was written is not known",
                next=f"look at the disk of {self._path.parent}; `stagecraft events list` shows what is there",
            ) from error
        except ClosedError as error:
            raise OutsideError(LOG_UNAVAILABLE, "the event log is closed", where=self._where) from error

    def with_room(self, write: Callable[[], T], *, vital: bool) -> T:
        """Write something else than an append; see `SqliteCommit.with_room`."""
        return self._commits.with_room(write, vital=vital)

    @property
    def queued(self) -> int:
        """How many appends wait for the disk."""
        return self._queue.waiting

    @property
    def busy(self) -> bool:
        """Whether an append is being written."""
        return self._queue.busy

    def close(self) -> None:
        """Write what is queued; every append from now on is refused."""
        self._queue.close()

    @property
    def _where(self) -> Where:
        return Where(file=str(self._path))
