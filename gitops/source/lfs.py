"""Pointers of Git LFS: a commit holds one in place of a large file, and it is never taken for the file.

What they point at is not fetched. A pointer on a host would be a service that starts with three lines of
text for its model or its archive, so whatever reads one is told instead.
"""

from __future__ import annotations

from typing import Final

from events.kernel.errors import UserError, Where, error_code
from gitops.source.paths import shown

LFS_POINTER = error_code(
    "lfs-pointer", "A file that is needed is kept in Git LFS, and the commit has a pointer in its place."
)

_BEGINNING: Final = b"version https://git-lfs.github.com/spec/v1\n"
_LARGEST: Final = 1024  # bytes; what is longer is no pointer


def refuse_pointer(path: str, content: bytes) -> bytes:
    """`content`, unless it is a pointer. Raises UserError `lfs-pointer`."""
    if len(content) < _LARGEST and content.startswith(_BEGINNING):
        raise UserError(
            LFS_POINTER,
            f"{shown(path)} is a pointer of Git LFS and not the file itself",
            where=Where(file=shown(path)),
            why="files in Git LFS are not fetched",
            next="commit the file itself (git lfs untrack, git add --renormalize), put it into an image or a "
            "volume, or leave it out of the build with .dockerignore",
        )
    return content
