"""The context of a build as a tar archive, made from the commit's tree and never from a work tree.

The same build gives the same bytes: no times, no owners, names sorted. It is written to a file, because it
may be larger than what a render may keep in memory; one file of the commit at a time is.
"""

from __future__ import annotations

import io
import tarfile
from typing import BinaryIO

from gitops.builds.spec import MAX_FILE_BYTES, Build
from gitops.source.tree import Tree

_EXECUTABLE, _PLAIN = 0o755, 0o644


def write_archive(build: Build, tree: Tree, target: BinaryIO) -> None:
    """Write the context of `build` to `target`. Raises as `Tree.read` does."""
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in build.files:
            content = file.content if file.path is None else tree.read(file.path, max_bytes=MAX_FILE_BYTES)
            entry = tarfile.TarInfo(file.name)
            entry.size = len(content)
            entry.mode = _EXECUTABLE if file.entry and file.entry.kind == "executable" else _PLAIN
            archive.addfile(entry, io.BytesIO(content))
