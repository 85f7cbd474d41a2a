"""A tree of files in its place on this machine, in one step.

It is written aside, flushed and renamed, so that its name is the proof of its content; one that is there is
left as it is, because containers have it mounted. Leftovers of a killed run start with a dot and go before
the next try.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from events.blobs import BlobStore
from events.manifest import FileTree

FILE_MODE, PROGRAM_MODE, FOLDER_MODE = 0o444, 0o555, 0o755


def write_tree(place: Path, tree: FileTree, *, blobs: BlobStore) -> None:
    """Put a tree in its place; nothing happens when it is there.

    Raises OSError, and OutsideError as `BlobStore.get`.
    """
    if place.is_dir():
        return
    parent, name = place.parent, place.name
    parent.mkdir(parents=True, exist_ok=True)
    for leftover in parent.glob(f".{name}.*"):
        shutil.rmtree(leftover)
    aside = parent / f".{name}.{secrets.token_hex(6)}"
    aside.mkdir()
    aside.chmod(FOLDER_MODE)
    folders = {aside}
    for entry in tree.entries:
        path = aside / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        for above in path.parents:
            if above == parent:
                break
            folders.add(above)
        _write_flushed(path, blobs.get(entry.blob), mode=PROGRAM_MODE if entry.executable else FILE_MODE)
    for folder in folders:
        folder.chmod(FOLDER_MODE)
        _flush(folder)
    aside.rename(place)
    _flush(parent)


def _write_flushed(path: Path, content: bytes, *, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(mode)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
