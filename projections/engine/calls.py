"""Calls that block, run in threads: bounded in number, each with a patience.

The pool belongs to one engine, because the loop's default one is as small as the machine, and an engine
that hangs would keep Git and the log waiting in it. A thread cannot be ended from outside, so what bounds a
call is how long a request may keep silent; the client reads `patience_seconds()` for each request. A caller
that is cancelled goes at once, its thread at the end of that time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

_THREADS = 8


class _Closing(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closing)
T = TypeVar("T")


class _Patience(threading.local):
    seconds: float = 0.0


_PATIENCE = _Patience()


def patience_seconds() -> float:
    """How long the call that runs in this thread lets one request keep silent."""
    return _PATIENCE.seconds


@contextmanager
def at_most(seconds: float) -> Generator[None]:
    """Let the requests of this thread keep silent no longer than `seconds` meanwhile."""
    former = _PATIENCE.seconds
    _PATIENCE.seconds = min(former, seconds)
    try:
        yield
    finally:
        _PATIENCE.seconds = former


class BlockingCalls(Generic[C]):
    """Runs functions of a client that is opened at its first use, and again when it was forgotten."""

    def __init__(self, open_client: Callable[[], C], *, name: str) -> None:
        """`open_client` blocks too and is bound by the patience of the call that needs the client."""
        self._open_client = open_client
        self._client: C | None = None
        self._changing = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=name)

    async def run(self, call: Callable[[C], T], *, seconds: float) -> T:
        """The answer of `call`, in a thread. Raises what it raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._patiently, call, seconds)

    def forget(self) -> None:
        """Close the client; the next call opens a new one."""
        with self._changing:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def close(self) -> None:
        """Close the client and let the threads go; one that still works ends with its patience."""
        self.forget()
        self._threads.shutdown(wait=False)

    def _patiently(self, call: Callable[[C], T], seconds: float) -> T:
        _PATIENCE.seconds = seconds
        return call(self._client or self._opened())

    def _opened(self) -> C:
        """The client for all calls.

        It is opened outside the lock: with an engine that hangs, each call waits for its own time alone.
        """
        mine = self._open_client()
        with self._changing:
            if self._client is None:
                self._client = mine
                return mine
            client = self._client
        mine.close()
        return client
