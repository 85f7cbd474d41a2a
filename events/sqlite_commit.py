"""How batches of appends get onto the disk, and each of them its own answer.

A batch is one transaction (`events/sqlite_append.py`). When that fails, its appends are tried once more one
by one, so that each gets the answer that is its own: what is vital may take the reserve, and what cannot be
stored at all takes no other with it.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from events.kernel.errors import OutsideError, StagecraftError, Where
from events.log import LOG_UNAVAILABLE
from events.sqlite_append import Request, Writing
from events.sqlite_file import disk_is_full

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from events.envelope import StoredEvent
    from events.group_commit import Waiting
    from events.reserve import Reserve
    from events.sqlite_end import End
    from events.sqlite_file import SqliteFile

    _Outcome: TypeAlias = tuple[StoredEvent, ...] | BaseException
    _Waiting: TypeAlias = Waiting[Request, tuple[StoredEvent, ...]]

T = TypeVar("T")

_ONE_BY_ONE_SECONDS = 10.0  # for the second try of a failed transaction's appends, all together


class SqliteCommit:
    """What is written to the `file` at `path`, with the reserve where there is one.

    `written` is called after each transaction that may have appended. One thread at a time.
    """

    def __init__(
        self, file: SqliteFile, path: Path, *, reserve: Reserve | None, written: Callable[[], None]
    ) -> None:
        self._file = file
        self._path = path
        self._reserve = reserve
        self._tell = written
        self._end: End | None = None  # as our last transaction left it, once that is committed

    def commit(self, batch: Sequence[_Waiting]) -> None:
        """Write a batch and answer everybody; runs in the thread of whoever writes."""
        if len(batch) > 1 and self._has_room_for(batch):
            try:
                outcomes = self._written([waiting.request for waiting in batch])
            except Exception:  # noqa: BLE001, S110  # each append meets it again, as an answer of its own
                pass
            else:
                for waiting, outcome in zip(batch, outcomes, strict=True):
                    _answer(waiting, outcome)
                return
        self._commit_one_by_one(batch)

    def _commit_one_by_one(self, batch: Sequence[_Waiting]) -> None:
        """Write each append of a batch in a transaction of its own.

        Those whose turn does not come in time get the error of the last one: a disk that fails slowly must
        not keep hundreds waiting one after the other.
        """
        deadline = time.monotonic() + _ONE_BY_ONE_SECONDS
        for index, waiting in enumerate(batch):
            try:
                write = partial(self._written, [waiting.request])
                (outcome,) = self.with_room(write, vital=waiting.request.vital)
            except BaseException as error:  # noqa: BLE001  # it is raised where the answer is waited for
                outcome = error
                if time.monotonic() > deadline:
                    for late in batch[index:]:
                        _answer(late, error)
                    return
            _answer(waiting, outcome)

    def _has_room_for(self, batch: Sequence[_Waiting]) -> bool:
        """Whether nothing of a batch has to give way to what is vital."""
        if self._reserve is None or all(waiting.request.vital for waiting in batch):
            return True
        return self._reserve.make()

    def _written(self, requests: Sequence[Request]) -> list[_Outcome]:
        """What came of each append, all in one transaction."""
        last, self._end = self._end, None
        with self._file.writing() as connection:
            writing = Writing(connection, requests, last=last, file=str(self._path))
            outcomes = [_outcome(writing, request) for request in requests]
            end = writing.finish()
        self._end = end
        self._tell()
        return outcomes

    def with_room(self, write: Callable[[], T], *, vital: bool) -> T:
        """Write; on a full disk what is `vital` once more without the reserve, and nothing else.

        Raises OutsideError `log-unavailable` when there is no room, and what `write` raises.
        """
        reserve = self._reserve
        if reserve is None:
            return write()
        if not vital and not reserve.make():
            raise OutsideError(
                LOG_UNAVAILABLE,
                "the disk is full, so nothing new is begun",
                where=Where(file=str(self._path)),
                why=f"less than {reserve.needs_bytes // 2**20} MiB are free, and the reserve is broken into",
                next=f"make room on the disk of {self._path.parent}; `stagecraft rollback` works meanwhile",
            )
        try:
            return write()
        except OutsideError as error:
            if not vital or not disk_is_full(error, self._path) or not reserve.free():
                raise
        return write()


def _outcome(writing: Writing, request: Request) -> _Outcome:
    """What was stored, or why this append is refused; any other error ends the transaction."""
    try:
        return writing.append(request)
    except StagecraftError as refusal:
        return refusal


def _answer(waiting: _Waiting, outcome: _Outcome) -> None:
    """Tell whoever waits for an append what came of it."""
    if isinstance(outcome, BaseException):
        waiting.fail(outcome)
    else:
        waiting.give(outcome)
