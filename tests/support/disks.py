"""A small disk of its own for a test: it can be full or read-only, really."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system in memory, mounted at a folder. To mount one takes root, as to run an engine does."""

    folder: Path

    @property
    def ballast(self) -> Path:
        """The file that takes the room."""
        return self.folder / "ballast"

    def fill(self) -> None:
        """Leave not a byte of room."""
        descriptor = os.open(self.ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            size = _CHUNK_BYTES
            while size:
                try:
                    os.write(descriptor, bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2
        finally:
            os.close(descriptor)

    def make_room(self) -> None:
        """Take away what `fill` wrote."""
        with contextlib.suppress(FileNotFoundError):
            self.ballast.unlink()

    def set_read_only(self, *, yes: bool) -> None:
        """Refuse every write, or take them again."""
        _mount("-o", f"remount,{'ro' if yes else 'rw'}", str(self.folder))


@contextmanager
def mounted(folder: Path, *, size_bytes: int) -> Generator[Disk]:
    """A disk of that size; it is gone afterwards."""
    folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "tmpfs", str(folder))
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=30)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, timeout=30)
