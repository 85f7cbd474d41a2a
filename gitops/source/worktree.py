"""Files as they lie in a folder, for `plan --worktree` and `init`; nothing is ever deployed from here.

Object ids are computed as Git does (SHA-1), so a clean work tree has the ids of its commit. Each folder on
the way is opened relative to the one before without following links, so nothing can be swapped for a link
between a check and a read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Generator
from pathlib import Path

from gitops.source.lfs import refuse_pointer
from gitops.source.paths import join, parent
from gitops.source.tree import MAX_WALKED, Entry, EntryKind, readable, refused, too_many

_GIT_MODES: dict[EntryKind, bytes] = {
    "file": b"100644",
    "executable": b"100755",
    "folder": b"40000",
    "link": b"120000",
}
_OWNER_MAY_EXECUTE = 0o100
_EMPTY_FOLDER = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


class WorkTree:
    """The tree under `folder`; with `known`, only those files of it, as `git ls-files` names them."""

    def __init__(self, folder: Path, *, known: frozenset[str] | None = None) -> None:
        self._root = folder
        self._known = None if known is None else known | {above for path in known for above in _above(path)}

    def entry(self, path: str) -> Entry | None:
        """What stands at `path`; see `Tree.entry`."""
        if not path:
            return self._described("", self._root.lstat())
        done = ""
        with contextlib.ExitStack() as stack:
            folder = self._open_root(stack)
            for part in path.split("/"):
                done = join(done, part)
                status = self._status(folder, part, done)
                if status is None:
                    return None
                if done == path:
                    return self._described(done, status)
                if not stat.S_ISDIR(status.st_mode):
                    if stat.S_ISLNK(status.st_mode):
                        raise refused(done, self._described(done, status))
                    return None
                folder = _open_folder(stack, part, folder)
        raise AssertionError("a path has at least one part")  # pragma: no cover

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """The content of a file; see `Tree.read`."""
        readable(path, self.entry(path), max_bytes=max_bytes)
        with self._opened(path) as file:
            content = os.read(file, max_bytes + 1)
            while len(content) <= max_bytes and (more := os.read(file, max_bytes + 1 - len(content))):
                content += more
        return refuse_pointer(path, content)

    def walk(self, path: str, *, max_entries: int = MAX_WALKED) -> list[tuple[str, Entry]]:
        """All below `path` but folders; see `Tree.walk`."""
        found: list[tuple[str, Entry]] = []
        for name in self._names(path):
            entry = self.entry(name)
            if entry is None:
                continue
            found += self.walk(name, max_entries=max_entries) if entry.kind == "folder" else [(name, entry)]
            if len(found) > max_entries:
                raise too_many(path, max_entries)
        return sorted(found, key=lambda item: item[0])

    def named(self, path: str) -> tuple[EntryKind, str] | None:
        """Kind and id; see `Tree.named`."""
        entry = self.entry(path)
        return None if entry is None else (entry.kind, entry.object_id)

    def object_id(self, path: str) -> str | None:
        """The id Git would give; see `Tree.object_id`."""
        if self._leads_through_link(path):
            return None
        entry = self.entry(path)
        return None if entry is None else entry.object_id

    def _leads_through_link(self, path: str) -> bool:
        return any((self._root / above).is_symlink() for above in _above(path))

    def _described(self, path: str, status: os.stat_result) -> Entry:
        if stat.S_ISDIR(status.st_mode):
            return Entry(kind="folder", object_id=self._folder_id(path), size_bytes=0)
        if stat.S_ISLNK(status.st_mode):
            target = os.fsencode((self._root / path).readlink())
            return Entry(kind="link", object_id=_object_id(b"blob", target), size_bytes=len(target))
        kind: EntryKind = "executable" if status.st_mode & _OWNER_MAY_EXECUTE else "file"
        return Entry(kind=kind, object_id=self._file_id(path, status.st_size), size_bytes=status.st_size)

    def _file_id(self, path: str, size: int) -> str:
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        with self._opened(path) as file:
            while block := os.read(file, 1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def _folder_id(self, path: str) -> str:
        """Hash of the folder's listing; a folder without a file has none in Git and is left out."""
        rows: list[tuple[bytes, bytes]] = []
        for name in self._names(path):
            entry = self.entry(name)
            if entry is None or entry.object_id == _EMPTY_FOLDER:
                continue
            leaf = os.fsencode(name.rpartition("/")[2])
            order = leaf + b"/" if entry.kind == "folder" else leaf
            rows.append(
                (order, _GIT_MODES[entry.kind] + b" " + leaf + b"\0" + bytes.fromhex(entry.object_id))
            )
        return _object_id(b"tree", b"".join(row for _, row in sorted(rows)))

    def _names(self, path: str) -> list[str]:
        """What a folder holds, sorted; empty when it is no folder."""
        try:
            names = [join(path, file.name) for file in (self._root / path).iterdir() if file.name != ".git"]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in names if self._known is None or name in self._known)

    def _status(self, folder: int, name: str, path: str) -> os.stat_result | None:
        if self._known is not None and path not in self._known:
            return None
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        known_kinds = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
        return status if any(is_kind(status.st_mode) for is_kind in known_kinds) else None

    def _open_root(self, stack: contextlib.ExitStack) -> int:
        return _keep(stack, os.open(self._root, os.O_RDONLY | os.O_DIRECTORY))

    @contextlib.contextmanager
    def _opened(self, path: str) -> Generator[int]:
        """A descriptor of the file, reached without following a link. Raises OSError when one appeared."""
        with contextlib.ExitStack() as stack:
            folder = self._open_root(stack)
            for part in filter(None, parent(path).split("/")):
                folder = _open_folder(stack, part, folder)
            yield _keep(stack, os.open(path.rpartition("/")[2], os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder))


def _above(path: str) -> list[str]:
    """The folders over `path`, the root left out."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _keep(stack: contextlib.ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _open_folder(stack: contextlib.ExitStack, name: str, folder: int) -> int:
    return _keep(stack, os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder))


def _object_id(kind: bytes, content: bytes) -> str:
    header = kind + b" %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
