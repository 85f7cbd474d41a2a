"""A tree with the pinned files of other repositories in it, below a folder that no commit can have.

So whatever reads a tree reads them by the same rules: mounts, env files, build contexts. The files of one
repository never stand in the way of another's, and an error in one says which.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping

from events.kernel.errors import UserError
from gitops.grafts import GRAFTS, split_graft
from gitops.source.paths import join
from gitops.source.tree import MAX_WALKED, Entry, EntryKind, Tree, readable


class GraftedTree:
    """`base`, and `grafts` by the folder that they stand in (`gitops.remotes.RemoteRef.graft`)."""

    def __init__(self, base: Tree, grafts: Mapping[str, Tree]) -> None:
        self._base = base
        self._grafts = dict(grafts)

    def entry(self, path: str) -> Entry | None:
        """What stands at `path`; see `Tree.entry`."""
        with self._at(path) as (tree, inner):
            return None if tree is None else tree.entry(inner)

    def named(self, path: str) -> tuple[EntryKind, str] | None:
        """What stands at `path`, not measured; see `Tree.named`."""
        with self._at(path) as (tree, inner):
            return None if tree is None else tree.named(inner)

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """The content of a file; see `Tree.read`."""
        with self._at(path) as (tree, inner):
            if tree is not None:
                return tree.read(inner, max_bytes=max_bytes)
        readable(path, None, max_bytes=max_bytes)
        raise AssertionError("an absent file is not readable")  # pragma: no cover

    def walk(self, path: str, *, max_entries: int = MAX_WALKED) -> list[tuple[str, Entry]]:
        """All below `path` but folders; see `Tree.walk`. Other repositories are not below the root."""
        with self._at(path) as (tree, inner):
            found = [] if tree is None else tree.walk(inner, max_entries=max_entries)
        graft, _inner = split_graft(path)
        return [(join(graft, name), entry) for name, entry in found]

    def object_id(self, path: str) -> str | None:
        """Git's name of what stands at `path`; see `Tree.object_id`."""
        with self._at(path) as (tree, inner):
            return None if tree is None else tree.object_id(inner)

    @contextlib.contextmanager
    def _at(self, path: str) -> Generator[tuple[Tree | None, str]]:
        """The tree that has `path`, and the path in it; no tree where none was grafted."""
        graft, inner = split_graft(path)
        if not graft:
            yield (None if path == GRAFTS else self._base), path
            return
        try:
            yield self._grafts.get(graft), inner
        except UserError as error:
            name = graft.removeprefix(f"{GRAFTS}/")
            raise UserError(
                error.code,
                f"{error.message} (in {name})",
                where=error.where,
                why=error.why,
                next=error.next,
            ) from error
