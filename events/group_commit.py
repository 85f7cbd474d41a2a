"""One thread writes for all threads of a process, and takes everything that waits in one go.

A durable commit costs one wait for the disk, however much it holds. So a request that comes while the disk
is busy waits in a queue with the others, and the next commit takes them all: one producer has the pace of the
disk, many have many times that.

Rules: the thread is started by the first request, so a process that only reads has none. The queue has a
bound, and each wait a deadline: whoever gets no room in it is told that the store is busy, whoever gets no
answer in time takes the request back, or is told that its end is not known when it is being written already.
What is in the queue when the writer is closed is still written.

Letting one of the callers write for all was dropped: an interrupt of that caller would have struck all.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

QUEUE_SIZE = 2000  # requests; some four full commits
BATCH_SIZE = 500  # a commit of more gains nothing and keeps the others waiting
ROOM_SECONDS = 10.0  # for room in a full queue
ANSWER_SECONDS = 60.0  # beyond the deadlines of all locks on the way

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


class FullError(Exception):
    """The request was not taken within its time; nothing was written."""


class UnansweredError(Exception):
    """The request is being written for longer than its time; what comes of it is not known."""


class ClosedError(Exception):
    """The writer takes no more requests."""


class Waiting(Generic[RequestT, AnswerT]):
    """A request and the answer that somebody waits for."""

    def __init__(self, request: RequestT) -> None:
        self.request = request
        self.future: Future[AnswerT] = Future()


class GroupCommit(Generic[RequestT, AnswerT]):
    """A queue and the thread that empties it into `commit`, which answers every request that it is given.

    Threads may share the object.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Waiting[RequestT, AnswerT]]], None],
        *,
        name: str,
        queue_size: int = QUEUE_SIZE,
        room_seconds: float = ROOM_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._commit = commit
        self._name = name
        self._queue_size = queue_size
        self._room_seconds = room_seconds
        self._answer_seconds = answer_seconds
        self._queue = deque[Waiting[RequestT, AnswerT]]()
        lock = threading.Lock()
        self._filled = threading.Condition(lock)
        self._emptied = threading.Condition(lock)
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many requests are in the queue."""
        return len(self._queue)

    def ask(self, request: RequestT) -> AnswerT:
        """The answer to a request, or what `commit` raised for it.

        Raises FullError, UnansweredError and ClosedError. An interrupt of the caller takes the request back
        unless it is being written already.
        """
        waiting = Waiting[RequestT, AnswerT](request)
        future = waiting.future
        self._put(waiting)
        try:
            return future.result(self._answer_seconds)
        except TimeoutError as error:
            if future.cancel():
                raise FullError from error
            if not future.done():
                raise UnansweredError from error
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _put(self, waiting: Waiting[RequestT, AnswerT]) -> None:
        """Queue a request, and start the thread for the first one."""
        deadline = time.monotonic() + self._room_seconds
        with self._emptied:
            while len(self._queue) >= self._queue_size and not self._closed:
                if not self._emptied.wait(deadline - time.monotonic()):
                    raise FullError
            if self._closed:
                raise ClosedError
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._queue.append(waiting)
            self._filled.notify()

    def _run(self) -> None:
        while batch := self._taken():
            wanted = [one for one in batch if one.future.set_running_or_notify_cancel()]
            if wanted:
                self._answer(wanted)

    def _taken(self) -> list[Waiting[RequestT, AnswerT]]:
        """Everything that waits, up to a batch; nothing once the queue is closed and empty."""
        with self._filled:
            while not self._queue and not self._closed:
                self._filled.wait()
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_SIZE))]
            self._emptied.notify_all()
            return batch

    def _answer(self, batch: Sequence[Waiting[RequestT, AnswerT]]) -> None:
        """Have a batch written; whatever goes wrong, nobody is left without an answer."""
        try:
            self._commit(batch)
        except BaseException as error:  # noqa: BLE001  # it is raised where the answer is waited for
            for one in batch:
                if not one.future.done():
                    one.future.set_exception(error)

    def close(self, *, wait_seconds: float = ANSWER_SECONDS) -> None:
        """Take no more requests, write those that wait, and end the thread; a second call does nothing.

        Raises TimeoutError when the thread does not end in time.
        """
        with self._filled:
            self._closed = True
            self._filled.notify_all()
            self._emptied.notify_all()
        if self._thread is not None:
            self._thread.join(wait_seconds)
            if self._thread.is_alive():
                raise TimeoutError(f"{self._name} has not ended in {wait_seconds:g} seconds")
