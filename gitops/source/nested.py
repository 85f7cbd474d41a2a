"""A tree whose submodules have their files: what a gitlink pins stands in its place.

Errors in a submodule say which. One that could not be brought is an error for whoever needs a file of it, and
for nobody else. A submodule of a submodule is not looked into.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from events.kernel.errors import StagecraftError, UserError
from gitops.source.paths import inside, join, shown
from gitops.source.tree import (
    MAX_WALKED,
    PATH_IS_SUBMODULE,
    Entry,
    EntryKind,
    Tree,
    readable,
    refused,
    too_many,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


class NestedTree:
    """`base` with `modules` in it, each by its path; `problems` are why others are not, by theirs."""

    def __init__(
        self, base: Tree, modules: Mapping[str, Tree], problems: Mapping[str, StagecraftError]
    ) -> None:
        self.base = base
        self._modules = dict(modules)
        self._problems = dict(problems)

    def pinned_at(self, path: str) -> str:
        """The path in `base` that says what is at `path`: of a file in a submodule, that of the submodule."""
        return _holder(path, self._modules) or path

    def entry(self, path: str) -> Entry | None:
        """What stands at `path`; see `Tree.entry`."""
        with self._at(path) as (tree, root, inner):
            entry = tree.entry(inner)
            return self._told(path, entry, root=root) if entry is not None else None

    def named(self, path: str) -> tuple[EntryKind, str] | None:
        """What stands at `path`, not measured; see `Tree.named`."""
        with self._at(path) as (tree, _root, inner):
            return tree.named(inner)

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """The content of a file; see `Tree.read`."""
        readable(path, self.entry(path), max_bytes=max_bytes)
        with self._at(path) as (tree, _root, inner):
            return tree.read(inner, max_bytes=max_bytes)

    def walk(self, path: str, *, max_entries: int = MAX_WALKED) -> list[tuple[str, Entry]]:
        """All below `path` but folders; see `Tree.walk`."""
        with self._at(path) as (tree, root, inner):
            walked = tree.walk(inner, max_entries=max_entries)
        found: list[tuple[str, Entry]] = []
        for name, entry in walked:
            whole = join(root, name) if root else name
            if whole in self._modules and not root:
                with self._at(whole) as (module, _root, _inner):
                    below = module.walk("", max_entries=max_entries)
                found += [
                    (join(whole, one), self._told(join(whole, one), each, root=whole)) for one, each in below
                ]
            else:
                found.append((whole, self._told(whole, entry, root=root)))
            if len(found) > max_entries:
                raise too_many(path, max_entries)
        return sorted(found, key=lambda item: item[0])

    def object_id(self, path: str) -> str | None:
        """Git's name of what stands at `path`; see `Tree.object_id`."""
        try:
            found = self.named(path)
        except StagecraftError:
            return None
        return None if found is None else found[1]

    def _told(self, path: str, entry: Entry, *, root: str) -> Entry:
        """`entry`, with the reason if it is a submodule that has no files here."""
        if entry.kind != "submodule":
            return entry
        problem = self._problems.get(path)
        if problem is None and root:
            problem = UserError(
                PATH_IS_SUBMODULE,
                f"{shown(path)} is a submodule of the submodule {shown(root)}; only those of the repository "
                "itself are read",
                next="name it as a submodule of the repository, or commit the files themselves",
            )
        return entry if problem is None else replace(entry, problem=problem)

    @contextlib.contextmanager
    def _at(self, path: str) -> Generator[tuple[Tree, str, str]]:
        """The tree that has `path`, where it stands in this one, and the path in it."""
        root = _holder(path, (*self._modules, *self._problems))
        if root is None or (root not in self._modules and path == root):
            yield self.base, "", path
            return
        if root not in self._modules:
            entry = self.base.entry(root)
            raise self._problems[root] if entry is None else refused(root, self._told(root, entry, root=""))
        try:
            yield self._modules[root], root, inside(root, path) or ""
        except UserError as error:
            if error.code == PATH_IS_SUBMODULE:
                raise
            raise UserError(
                error.code,
                f"{error.message} (in the submodule {shown(root)})",
                where=error.where,
                why=error.why,
                next=error.next,
            ) from error


def _holder(path: str, modules: Iterable[str]) -> str | None:
    """The one of `modules` that `path` is, or is in; None when it is in none."""
    return next((one for one in modules if inside(one, path) is not None), None)
