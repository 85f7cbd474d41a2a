"""Room on the disk that is kept for the day on which there is none.

A full disk must not keep a team from rolling back, nor a Release that has begun from its verdict. So the
home holds a file that is nothing but room. When the log cannot be written because the disk is full, and
all that is to be written is worth it (`VITAL`), the file is removed and the append is tried once more; to
open the log at all a part of it is lent. As long as the file is not whole nothing new is begun: that would
use up the room that the way back needs. It is made again as soon as there is room for it twice over.
"""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PART_BYTES = 256 * 1024  # what opening the log takes on a full disk
SIZE_BYTES = 8 * 1024 * 1024  # hundreds of Releases' events; a rollback takes some 200 KiB, files included
VITAL = frozenset(
    {
        "ConnectionsDrained",
        "EnvironmentHeld",
        "HostKeyAccepted",
        "HostLeftOut",
        "HostReached",
        "HostUnreachable",
        "JobCompleted",
        "JobFailed",
        "LockBroken",
        "PhaseCompleted",
        "PhaseFailed",
        "PhaseSkipped",
        "PhaseStarted",
        "ReleaseCompleted",
        "ReleaseFailed",
        "ReleaseRolledBack",
        "ReleaseStarted",
        "ReleaseSuperseded",
        "RollbackRequested",
        "RoutesTold",
        "ServiceReloaded",
        "ServiceReplaced",
        "ServiceStartedBeside",
        "ServiceWithdrawn",
        "TrafficRestored",
        "TrafficSwitched",
        "WatchBegun",
        "WatchEnded",
        "WatchFailed",
    }
)
"""Ways back, and what follows from what was asked for; by name, for the log knows no catalogue."""


def is_vital(types: Iterable[str]) -> bool:
    """Whether an append of events of these types may take the reserve."""
    return VITAL.issuperset(types)


def stands(path: Path, *, size_bytes: int = SIZE_BYTES) -> bool:
    """Whether the reserve at `path` is there, whole."""
    return path.is_file() and path.stat().st_size >= size_bytes


class Reserve:
    """The file at `path`; threads may share it."""

    def __init__(self, path: Path, *, size_bytes: int = SIZE_BYTES) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._lock = threading.Lock()

    @property
    def stands(self) -> bool:
        """Whether all of the room is there."""
        return stands(self._path, size_bytes=self._size_bytes)

    @property
    def needs_bytes(self) -> int:
        """How much room there must be for the file to be made."""
        return 2 * self._size_bytes

    def make(self) -> bool:
        """Make the file when it is missing or lent, if the disk has room for it twice; whether it stands.

        A disk without room and a home that cannot be written are no errors here: whoever writes meets them.
        """
        with self._lock:
            if self.stands:
                return True
            try:
                if shutil.disk_usage(self._path.parent).free < self.needs_bytes:
                    return False
                self._write()
            except OSError:
                return False
            return True

    def _write(self) -> None:
        """Real blocks, in their place only when they are all there; raises OSError with nothing left."""
        aside = self._path.with_name(f".{self._path.name}.new")
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size_bytes)
            os.fsync(descriptor)
            aside.rename(self._path)
        except OSError:
            with suppress(FileNotFoundError):
                aside.unlink()
            raise
        finally:
            os.close(descriptor)

    def lend(self) -> bool:
        """Give back a part, so that the log can be opened at all; False when there is none left."""
        with self._lock:
            try:
                left = self._path.stat().st_size - PART_BYTES
                if left < 0:
                    return False
                os.truncate(self._path, left)
            except OSError:
                return False
            return True

    def free(self) -> bool:
        """Give the room back; False when there was none to give."""
        with self._lock:
            try:
                self._path.unlink()
            except OSError:
                return False
            return True
