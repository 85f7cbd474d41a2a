"""The files of a commit, by one tree object and those below it.

Listings are parsed here from the raw objects, so that a name keeps its bytes. Each is read once: a tree never
changes, and the next environment of the same repository asks for the same folders again.
"""

from __future__ import annotations

import os
from typing import Final, Protocol

from events.kernel.errors import UserError
from gitops.source.lfs import refuse_pointer
from gitops.source.paths import PATH_ESCAPES, join, shown
from gitops.source.tree import MAX_WALKED, Entry, EntryKind, readable, refused, too_many

ID_DIGITS: Final = 40  # of an object's name
MAX_LISTING_BYTES: Final = 4 * 1024 * 1024  # of one folder; a hundred thousand files with short names
_NO_NAMES: Final = frozenset({b"", b".", b"..", b".git"})  # a tree made by hand may have them
_KINDS: Final[dict[bytes, EntryKind]] = {
    b"40000": "folder",
    b"100644": "file",
    b"100664": "file",  # written by very old versions of Git
    b"100755": "executable",
    b"120000": "link",
    b"160000": "submodule",
}


Listings = dict[str, dict[str, tuple[EntryKind, str]]]  # by the object id of a folder


class Objects(Protocol):
    """A store of objects by their names. Each call raises OutsideError `git-failed`."""

    def size_of(self, object_id: str) -> int:
        """Bytes of an object, without reading it."""
        ...

    def content_of(self, object_id: str) -> bytes:
        """An object's bytes."""
        ...

    def listing_of(self, name: str, *, max_bytes: int) -> tuple[str, bytes | None]:
        """Id and bytes of the folder that `name` names; no bytes when there are more than `max_bytes`."""
        ...


class GitTree:
    """The files of one tree object; listings are remembered, because a tree never changes."""

    def __init__(self, objects: Objects, tree: str, *, listings: Listings | None = None) -> None:
        """`listings` are those that another of the same repository has read."""
        self._objects = objects
        self._tree = tree
        self._listings: Listings = {} if listings is None else listings

    def through(self, objects: Objects) -> GitTree:
        """The same files, read from a repository that was opened again; what was read is not read again."""
        return GitTree(objects, self._tree, listings=self._listings)

    def entry(self, path: str) -> Entry | None:
        """What stands at `path`; see `Tree.entry`."""
        found = self.named(path)
        return None if found is None else self._described(*found)

    def named(self, path: str) -> tuple[EntryKind, str] | None:
        """What stands at `path`, not measured; see `Tree.named`."""
        kind: EntryKind = "folder"
        object_id, done = self._tree, ""
        for part in filter(None, path.split("/")):
            if kind in {"link", "submodule"}:
                raise refused(done, Entry(kind=kind, object_id=object_id, size_bytes=0))
            found = self._listing(object_id, done).get(part) if kind == "folder" else None
            if found is None:
                return None
            kind, object_id = found
            done = join(done, part)
        return kind, object_id

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """The content of a file; see `Tree.read`."""
        entry = readable(path, self.entry(path), max_bytes=max_bytes)
        return refuse_pointer(path, self._objects.content_of(entry.object_id))

    def walk(self, path: str, *, max_entries: int = MAX_WALKED) -> list[tuple[str, Entry]]:
        """All below `path` but folders; see `Tree.walk`."""
        top = self.entry(path)
        found: list[tuple[str, Entry]] = []
        waiting = [(path, top.object_id)] if top is not None and top.kind == "folder" else []
        while waiting:
            folder, folder_id = waiting.pop()
            for name, (kind, object_id) in self._listing(folder_id, folder).items():
                if kind == "folder":
                    waiting.append((join(folder, name), object_id))
                else:
                    found.append((join(folder, name), self._described(kind, object_id)))
                if len(found) + len(waiting) > max_entries:
                    raise too_many(path, max_entries)
        return sorted(found, key=lambda item: item[0])

    def object_id(self, path: str) -> str | None:
        """Git's name of what stands at `path`; see `Tree.object_id`."""
        try:
            found = self.named(path)
        except UserError:
            return None
        return None if found is None else found[1]

    def _described(self, kind: EntryKind, object_id: str) -> Entry:
        size = 0 if kind in {"folder", "submodule"} else self._objects.size_of(object_id)
        return Entry(kind=kind, object_id=object_id, size_bytes=size)

    def _listing(self, object_id: str, folder: str) -> dict[str, tuple[EntryKind, str]]:
        """What a folder holds, measured before it is read. Raises UserError `tree-too-large`."""
        listing = self._listings.get(object_id)
        if listing is None:
            _id, content = self._objects.listing_of(object_id, max_bytes=MAX_LISTING_BYTES)
            if content is None:
                raise too_many(folder, MAX_WALKED)
            listing = self._listings[object_id] = _parse_tree(content)
        return listing


def _parse_tree(content: bytes) -> dict[str, tuple[EntryKind, str]]:
    """A raw tree object: rows of mode, space, name, NUL, binary id.

    Raises UserError `path-escapes` for a name that would lead elsewhere.
    """
    listing: dict[str, tuple[EntryKind, str]] = {}
    at = 0
    while at < len(content):
        space = content.index(b" ", at)
        end = content.index(b"\0", space)
        kind = _KINDS.get(content[at:space].lstrip(b"0"), "submodule")  # nothing of an unknown mode is read
        at = end + 1 + ID_DIGITS // 2
        name = content[space + 1 : end]
        if name in _NO_NAMES or b"/" in name:
            raise UserError(
                PATH_ESCAPES,
                f"a folder of the commit has an entry named {shown(os.fsdecode(name))!r}",
                why="Git itself never writes such a tree",
                next="git fsck",
            )
        listing[os.fsdecode(name)] = (kind, content[end + 1 : at].hex())
    return listing
