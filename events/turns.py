"""Processes that write to one file take turns by a lock beside it.

The database has a lock of its own, and whoever waits for that one sleeps longer and longer between two looks:
of several busy writers one may get nothing for seconds. Here they look often and in short steps. The lock is
`flock`: the kernel lets go of it when its holder dies, however it dies. A wait without looking (`LOCK_EX`
alone) was dropped, because it cannot end at a deadline when the holder is stopped in the middle.

The file is made by the first who writes; it stays, because removing it would let two holders lock two files.
It is never the database's own file: to close that anywhere in a process would let go of SQLite's locks.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_FIRST_LOOK_SECONDS = 0.0002
_LONGEST_LOOK_SECONDS = 0.004  # below it a waiter costs the holder time, above it others go first


class Turns:
    """The lock at `path`. One thread at a time: whoever shares the object has a lock around it."""

    def __init__(self, path: Path, *, wait_seconds: float) -> None:
        self._path = path
        self._wait_seconds = wait_seconds
        self._descriptor: int | None = None
        self._closed = False

    @contextmanager
    def held(self) -> Generator[None]:
        """Have the turn. Raises TimeoutError when others keep it too long, OSError without such a file."""
        if self._closed:
            raise OSError(errno.EBADF, "closed", self._path.name)
        if self._descriptor is None:
            self._descriptor = os.open(
                self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        self._take(self._descriptor)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _take(self, descriptor: int) -> None:
        deadline, look = time.monotonic() + self._wait_seconds, _FIRST_LOOK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise TimeoutError(
                        f"another process has kept {self._path.name} for {self._wait_seconds:g} seconds"
                    ) from error
                time.sleep(look)
                look = min(2 * look, _LONGEST_LOOK_SECONDS)
            else:
                return

    def close(self) -> None:
        """Let go of the file, for ever."""
        self._closed = True
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
