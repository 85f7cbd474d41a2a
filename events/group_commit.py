"""Who writes to the disk of a process: one at a time, and what waits meanwhile is taken in one go.

A durable commit costs one wait for the disk, however much it holds. So a request that comes while the disk
is busy waits in a queue with the others, and one thread takes them all into the next commit: many producers
have many times the pace of the disk. Whoever finds nobody writing and nobody waiting commits its own request
itself: a thread between one producer and the disk took half as long again as the disk.

Those whose requests are written together wait behind one door, and go through it one after the other. Woken
all at once they would stand in line once more, for the interpreter, which took a tenth of their pace. The
thread lets them all through before it goes on: they come back with what they ask next, and the next commit
holds them all. When it went on at once it met half of them, and wrote two commits in place of one.

Rules: the thread is started by the first request that has to wait, so a process that only reads, or appends
now and then, has none. The queue has a bound, and each wait in it a deadline: whoever gets no room is told
that the store is busy, whoever gets no answer in time takes the request back, or is told that its end is not
known when it is being written already. What is in the queue when the writer is closed is still written.

Letting one of the callers write for all was dropped: an interrupt of that caller would strike all of them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

QUEUE_SIZE = 2000  # requests; some four full commits
BATCH_SIZE = 500  # a commit of more gains nothing and keeps the others waiting
ROOM_SECONDS = 10.0  # for room in a full queue
ANSWER_SECONDS = 60.0  # beyond the deadlines of all locks on the way
_LOOK_SECONDS = 1.0  # an interrupt may keep somebody in the door, so the others look for themselves
_LEAVE_SECONDS = 0.005  # for all to go through the door: what the interpreter may take for one turn

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


class FullError(Exception):
    """The request was not taken within its time; nothing was written."""


class UnansweredError(Exception):
    """The request is being written for longer than its time; what comes of it is not known."""


class ClosedError(Exception):
    """The writer takes no more requests."""


class Waiting(Generic[RequestT, AnswerT]):
    """A request and its answer.

    Either the writer takes it or whoever asks withdraws it, never both: there is one ticket, and to take a
    thing out of a list is one step for all threads.
    """

    __slots__ = ("_answer", "_error", "_ticket", "request")

    def __init__(self, request: RequestT) -> None:
        self.request = request
        self._ticket = [None]
        self._answer: list[AnswerT] = []
        self._error: BaseException | None = None

    def claim(self) -> bool:
        """Take the ticket; False when the other side has it."""
        try:
            self._ticket.pop()
        except IndexError:
            return False
        return True

    def give(self, answer: AnswerT) -> None:
        """Answer it, once."""
        self._answer.append(answer)

    def fail(self, error: BaseException) -> None:
        """Answer it with an error, once."""
        self._error = error

    @property
    def answered(self) -> bool:
        """Whether there is an answer."""
        return bool(self._answer) or self._error is not None

    def result(self) -> AnswerT:
        """The answer, which there is, or the error."""
        if self._error is not None:
            raise self._error
        return self._answer[0]


class Group(Generic[RequestT, AnswerT]):
    """Requests that are written together, and the door behind which those who asked wait."""

    __slots__ = ("_all_through", "_door", "_inside", "requests")

    def __init__(self) -> None:
        self.requests: list[Waiting[RequestT, AnswerT]] = []
        self._inside = 0
        self._door = threading.Lock()
        self._door.acquire()
        self._all_through = threading.Lock()
        self._all_through.acquire()

    def open(self, *, answered: int) -> None:
        """Let through those who were answered, and wait for a moment until all of them are."""
        self._inside = answered
        self._door.release()
        if answered:
            self._all_through.acquire(timeout=_LEAVE_SECONDS)

    def wait(self, one: Waiting[RequestT, AnswerT], seconds: float) -> bool:
        """Whether one of the requests was answered in time; for the one thread that asked."""
        deadline = time.monotonic() + seconds
        while not self._door.acquire(timeout=min(seconds, _LOOK_SECONDS)):
            seconds = deadline - time.monotonic()
            if one.answered or seconds <= 0:
                return one.answered
        self.go_through()
        return one.answered

    def go_through(self) -> None:
        """Leave the door to whoever comes next, or tell the writer that nobody does."""
        self._inside -= 1
        nobody = not self._inside
        self._door.release()
        if nobody:
            self._all_through.release()


class GroupCommit(Generic[RequestT, AnswerT]):
    """A queue before `commit`, which answers every request that it is given, and the thread that empties it.

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
        self._queue = deque[Group[RequestT, AnswerT]]()
        self._waiting = 0
        lock = threading.Lock()
        self._filled = threading.Condition(lock)
        self._emptied = threading.Condition(lock)
        self._turn = threading.Lock()  # held by whoever commits
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many requests are in the queue."""
        return self._waiting

    @property
    def busy(self) -> bool:
        """Whether a commit is under way."""
        return self._turn.locked()

    def ask(self, request: RequestT) -> AnswerT:
        """The answer to a request, or what `commit` raised for it.

        Raises FullError, UnansweredError and ClosedError. An interrupt of the caller takes the request back
        unless it is being written already.
        """
        waiting: Waiting[RequestT, AnswerT] = Waiting(request)
        if self._write_at_once(waiting):
            return waiting.result()
        group = self._put(waiting)
        try:
            in_time = group.wait(waiting, self._answer_seconds)
        except BaseException:
            waiting.claim()
            raise
        if not in_time and waiting.claim():
            raise FullError
        if not in_time and not waiting.answered:
            raise UnansweredError
        return waiting.result()

    def _write_at_once(self, waiting: Waiting[RequestT, AnswerT]) -> bool:
        """Write a request in the caller's thread, False when somebody else writes or waits."""
        if self._queue or not self._turn.acquire(blocking=False):
            return False
        try:
            if self._closed:
                raise ClosedError
            waiting.claim()
            self._answer([waiting])
        finally:
            self._turn.release()
        return True

    def _put(self, waiting: Waiting[RequestT, AnswerT]) -> Group[RequestT, AnswerT]:
        """Queue a request with others that are not taken yet, and start the thread for the first one."""
        deadline = time.monotonic() + self._room_seconds
        with self._emptied:
            while self._waiting >= self._queue_size and not self._closed:
                if not self._emptied.wait(deadline - time.monotonic()):
                    raise FullError
            if self._closed:
                raise ClosedError
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            if not self._queue or len(self._queue[-1].requests) >= BATCH_SIZE:
                self._queue.append(Group())
            group = self._queue[-1]
            group.requests.append(waiting)
            self._waiting += 1
            self._filled.notify()
            return group

    def _run(self) -> None:
        while self._has_work():
            with self._turn:
                group = self._taken()
                wanted = [one for one in group.requests if one.claim()]
                if wanted:
                    self._answer(wanted)
                group.open(answered=len(wanted))

    def _has_work(self) -> bool:
        """Wait for a request; False once the queue is closed and empty."""
        with self._filled:
            while not self._queue and not self._closed:
                self._filled.wait()
            return bool(self._queue)

    def _taken(self) -> Group[RequestT, AnswerT]:
        """Those who wait longest, up to a batch; who comes from here on is not of them."""
        with self._emptied:
            group = self._queue.popleft()
            self._waiting -= len(group.requests)
            self._emptied.notify_all()
            return group

    def _answer(self, batch: Sequence[Waiting[RequestT, AnswerT]]) -> None:
        """Have a batch written; whatever goes wrong, nobody is left without an answer."""
        try:
            self._commit(batch)
        except BaseException as error:  # noqa: BLE001  # it is raised where the answer is waited for
            for one in batch:
                if not one.answered:
                    one.fail(error)

    def close(self, *, wait_seconds: float = ANSWER_SECONDS) -> None:
        """Take no more requests, write those that wait, and end the thread; a second call does nothing.

        Raises TimeoutError when a commit does not end in time.
        """
        with self._filled:
            self._closed = True
            self._filled.notify_all()
            self._emptied.notify_all()
        if self._thread is not None:
            self._thread.join(wait_seconds)
        if not self._turn.acquire(timeout=wait_seconds):
            raise TimeoutError(f"{self._name} has not ended in {wait_seconds:g} seconds")
        self._turn.release()
