"""A tree of files as nested folders, for who goes through it folder by folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from events.manifest import FileEntry, FileTree


@dataclass(frozen=True, slots=True)
class Level:
    """What one folder holds."""

    files: Mapping[str, FileEntry]
    folders: Mapping[str, Level]

    @classmethod
    def of(cls, tree: FileTree) -> Level:
        """The tree as nested folders."""
        return cls._from([(entry.path.split("/"), entry) for entry in tree.entries])

    @classmethod
    def _from(cls, entries: Iterable[tuple[list[str], FileEntry]]) -> Level:
        files: dict[str, FileEntry] = {}
        below: dict[str, list[tuple[list[str], FileEntry]]] = {}
        for parts, entry in entries:
            if len(parts) == 1:
                files[parts[0]] = entry
            else:
                below.setdefault(parts[0], []).append((parts[1:], entry))
        return cls(files=files, folders={name: cls._from(found) for name, found in below.items()})
