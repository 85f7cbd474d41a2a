"""Files that are whole or absent: write aside, flush, rename, flush the folder."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644, folder_mode: int = 0o755) -> None:
    """Replace `path` by `content`, or leave what was there; missing parent folders are made.

    Durable when the call returns. Raises OSError with the temporary file removed.
    """
    with replaced(path, mode=mode, folder_mode=folder_mode) as file:
        file.write(content)


@contextmanager
def replaced(path: Path, *, mode: int = 0o644, folder_mode: int = 0o755) -> Generator[IO[bytes]]:
    """A file that takes the place of `path` at the end of the block, or never when that raises.

    As `write_atomically`, for content that comes in parts.
    """
    make_folders(path.parent, mode=folder_mode)
    aside = path.parent / f".{path.name}.{os.urandom(6).hex()}"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)  # the umask may have taken bits away
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise
    flush_folder(path.parent)


def make_folders(folder: Path, *, mode: int) -> None:
    """Make `folder` and its missing parents, each with `mode` and durably; what exists stays as it is.

    `Path.mkdir(parents=True)` would give the mode to the last one only. Raises OSError.
    """
    if folder.is_dir():
        return
    make_folders(folder.parent, mode=mode)
    with suppress(FileExistsError):  # another process was faster
        folder.mkdir(mode=mode)
        flush_folder(folder.parent)
    if not folder.is_dir():
        raise NotADirectoryError(f"not a folder: {folder}")


def flush_folder(folder: Path) -> None:
    """Make a rename durable; a file system that cannot do it has its own way."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
