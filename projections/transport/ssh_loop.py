"""The one thread that speaks SSH, with an event loop of its own.

A connection belongs to the loop that made it, and outlives the loops of those who use it: a command runs
several one after the other, and the daemon's threads have none. So all connections of a process live here,
and a caller waits in its own loop for what is done in this one. It is started by the first call.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

_END_SECONDS = 5.0
_LAST_TURNS = 10  # of the loop, in which connections that were just cut let go of their sockets

T = TypeVar("T")


class SshLoop:
    """Runs coroutines in its thread; safe to use from any thread and any loop."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ended = False

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, done in the thread. Whoever is cancelled here cancels it there."""
        try:
            loop = self._running()
        except RuntimeError:
            work.close()
            raise
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def soon(self, work: Callable[[], None]) -> None:
        """Have `work` done there, some time; nothing when the thread has ended."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it ends in this very moment
                loop.call_soon_threadsafe(work)

    def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` there and wait for it, for some seconds at most; nothing when no thread was started."""
        loop = self._loop
        if loop is None:
            work.close()
            return
        done: Future[None] = asyncio.run_coroutine_threadsafe(work, loop)
        with contextlib.suppress(TimeoutError):
            done.result(_END_SECONDS)

    def close(self) -> None:
        """End all that runs there, and the thread, for good."""
        with self._changing:
            self._ended = True
            loop, self._loop = self._loop, None
            thread, self._thread = self._thread, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_END_SECONDS)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._changing:
            if self._ended:
                raise RuntimeError("the thread that speaks SSH has ended")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(self._loop,), name="ssh", daemon=True)
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=_END_SECONDS))
        for _ in range(_LAST_TURNS):
            loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
