"""A branch of commits in memory, for tests that need many commits and no Git.

What the product's Git adapter does is proved with real repositories elsewhere; here a commit is a mapping of
paths to texts, with object ids as Git would name them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from controller.watching import Tip
from gitops.source.git import Commit, Repository
from gitops.source.reverts import Said
from gitops.source.tree import MAX_WALKED, Entry, EntryKind, readable
from tests.support.time import START


@dataclass(frozen=True, slots=True)
class MemoryTree:
    """A `Tree` of texts."""

    files: Mapping[str, str]

    def entry(self, path: str) -> Entry | None:
        """A file, or a folder that has one below it."""
        if path in self.files:
            content = self.files[path].encode()
            name = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            return Entry(kind="file", object_id=name, size_bytes=len(content))
        below = "".join(f"{name}\0{text}\0" for name, text in self.walked(path))
        if not below:
            return None
        name = hashlib.sha1(below.encode(), usedforsecurity=False).hexdigest()
        return Entry(kind="folder", object_id=name, size_bytes=0)

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """The text of a file."""
        readable(path, self.entry(path), max_bytes=max_bytes)
        return self.files[path].encode()

    def walk(self, path: str, *, max_entries: int = MAX_WALKED) -> list[tuple[str, Entry]]:
        """All files below a folder."""
        entries = [(name, self.entry(name)) for name, _ in self.walked(path)]
        return [(name, entry) for name, entry in entries if entry is not None][:max_entries]

    def named(self, path: str) -> tuple[EntryKind, str] | None:
        """Kind and name of a file or a folder."""
        found = self.entry(path)
        return None if found is None else (found.kind, found.object_id)

    def object_id(self, path: str) -> str | None:
        """The name of a file or a folder."""
        found = self.entry(path)
        return None if found is None else found.object_id

    def walked(self, path: str) -> list[tuple[str, str]]:
        """Paths and texts below a folder, sorted."""
        start = f"{path}/" if path else ""
        return sorted((name, text) for name, text in self.files.items() if name.startswith(start))


@dataclass(slots=True)
class Branch:
    """`main` of a repository; every commit that ever was can still be asked for."""

    commits: dict[str, tuple[MemoryTree, str | None]] = field(
        default_factory=dict[str, tuple[MemoryTree, str | None]]
    )  # tree and parent
    head: str | None = None
    numbered: int = 0
    said: dict[str, str] = field(default_factory=dict[str, str])  # message by commit
    sign: Callable[[bytes], str] | None = None  # the armoured signature of whoever commits
    signed: set[str] = field(default_factory=set[str])
    _contents: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def commit(self, files: Mapping[str, str], message: str = "change", *, signed: bool = True) -> str:
        """A commit with exactly these files on top of the head."""
        self.numbered += 1
        revision = hashlib.sha1(str(self.numbered).encode(), usedforsecurity=False).hexdigest()
        self.commits[revision] = (MemoryTree(dict(files)), self.head)
        self.head = revision
        self.said[revision] = message
        if signed:
            self.signed.add(revision)
        return revision

    def revert(self) -> str | None:
        """`git revert HEAD`: the files of the parent in a new commit; None when there is no parent."""
        parent = None if self.head is None else self.commits[self.head][1]
        message = f"Revert\n\nThis reverts commit {self.head}."
        return None if parent is None else self.commit(self.commits[parent][0].files, message)

    def rewind(self) -> None:
        """Force the branch back to the head's parent."""
        if self.head is not None and (parent := self.commits[self.head][1]) is not None:
            self.head = parent

    @property
    def tip(self) -> Tip:
        """As a look at the branch finds it."""
        assert self.head is not None
        commit = Commit(
            revision=self.head,
            tree=self.tree(self.head).object_id("") or "",
            parents=(),
            author_name="A Developer",
            author_email="developer@example.org",
            subject="change",
            committed_at=START,
            message=self.said[self.head],
        )
        repository = cast("Repository", self)  # `see` reads trees and messages and asks for ancestors
        return Tip(
            slug="repository",
            ref="refs/heads/main",
            commit=commit,
            repository=repository,
        )

    def tree(self, revision: str) -> MemoryTree:
        """The files of a commit."""
        return self.commits[revision][0]

    def content_of(self, object_id: str) -> bytes:
        """A commit as Git keeps it, signed when it was to be and there is somebody who signs."""
        if object_id not in self._contents:
            who = f"A Developer <developer@example.org> {int(START.timestamp())} +0000"
            head = f"tree {self.tree(object_id).object_id('')}\nauthor {who}\ncommitter {who}\n"
            payload = f"{head}\n{self.said[object_id]}\n"
            if self.sign is not None and object_id in self.signed:
                armour = "\n ".join(self.sign(payload.encode()).splitlines())
                payload = f"{head}gpgsig {armour}\n{payload.removeprefix(head)}"
            self._contents[object_id] = payload.encode()
        return self._contents[object_id]

    def size_of(self, object_id: str) -> int:
        """Bytes of a commit."""
        return len(self.content_of(object_id))

    def commits_since(self, revision: str, known: str | None, *, most: int) -> list[str]:
        """What `revision` has and `known` has not, the newest first."""
        found: list[str] = []
        current: str | None = revision
        while current is not None and not (known in self.commits and self.is_ancestor(current, known or "")):
            found.append(current)
            current = self.commits[current][1]
        return found[:most]

    def messages(self, revision: str, *, without: str, most: int) -> list[Said]:
        """The commits down to one that `without` has, the newest first."""
        found: list[Said] = []
        current: str | None = revision
        while current is not None and not self.is_ancestor(current, without):
            found.append(Said(revision=current, message=self.said[current]))
            current = self.commits[current][1]
        return found[:most]

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` descends from `older` or is it."""
        current: str | None = newer
        while current is not None and current != older:
            current = self.commits[current][1]
        return current is not None
