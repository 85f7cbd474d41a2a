"""A tree of files: what a render reads, whether it is a commit's or a work tree's.

Rule: nothing is ever read through a symbolic link, neither the last part of a path nor a folder on the way,
because a link in a hostile repository names a file of the controller. A link is an error that names it, also
when it would lead nowhere. A submodule is not looked into (but see `gitops.source.nested`).

`object_id` is what a render key is made of, so it answers for absent paths too and never raises.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from events.kernel.errors import StagecraftError, UserError, Where, error_code
from gitops.source.paths import shown

PATH_IS_LINK = error_code(
    "path-is-link", "A path in the repository is a symbolic link, or leads through one."
)
PATH_IS_SUBMODULE = error_code("path-is-submodule", "A path in the repository belongs to a submodule.")
PATH_MISSING = error_code("path-missing", "A file that is needed is not in the commit.")
PATH_NOT_FILE = error_code("path-not-file", "A path in the repository is a folder where a file is needed.")
FILE_TOO_LARGE = error_code("file-too-large", "A file in the repository is larger than its use allows.")
TREE_TOO_LARGE = error_code(
    "tree-too-large", "A folder in the repository has more files than its use allows."
)

EntryKind = Literal["file", "executable", "folder", "link", "submodule"]
MAX_WALKED = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What stands at a path."""

    kind: EntryKind
    object_id: str  # Git's name of the content, 40 hex digits; of a submodule the commit
    size_bytes: int  # 0 for folders and submodules
    problem: StagecraftError | None = field(default=None, compare=False)
    """Of a submodule whose files were to be here: why they are not."""


class Tree(Protocol):
    """Files by their path from the root; a path is in the normal form of `gitops.source.paths`."""

    def entry(self, path: str) -> Entry | None:
        """What stands at `path`, None when nothing does.

        Raises UserError `path-is-link` or `path-is-submodule` when a folder on the way is one; the last
        part itself may be one and is answered as such. Raises `tree-too-large` for a folder on the way
        that is too large to be looked through.
        """
        ...

    def named(self, path: str) -> tuple[EntryKind, str] | None:
        """Kind and object id of what stands at `path`, which is not measured; raises as `entry`."""
        ...

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """The content of a file.

        Raises UserError `path-missing`, `path-is-link`, `path-is-submodule`, `path-not-file`,
        `file-too-large` or `lfs-pointer`; a file is measured before it is read.
        """
        ...

    def walk(self, path: str, *, max_entries: int = MAX_WALKED) -> list[tuple[str, Entry]]:
        """All below the folder `path` but folders, links and submodules included, sorted by path.

        Empty when the folder is absent. Raises UserError `tree-too-large` beyond `max_entries`.
        """
        ...

    def object_id(self, path: str) -> str | None:
        """Git's name of what stands at `path` ("" is the root); None when nothing can be read there."""
        ...


def readable(path: str, entry: Entry | None, *, max_bytes: int) -> Entry:
    """`entry`, when it is a file of at most `max_bytes`. Raises as `Tree.read` says."""
    if entry is None:
        raise UserError(PATH_MISSING, f"{shown(path)} is not in the commit", where=Where(file=shown(path)))
    if entry.kind in {"link", "submodule"}:
        raise refused(path, entry)
    if entry.kind == "folder":
        raise UserError(
            PATH_NOT_FILE, f"{shown(path)} is a folder, not a file", where=Where(file=shown(path))
        )
    if entry.size_bytes > max_bytes:
        raise UserError(
            FILE_TOO_LARGE,
            f"{shown(path)} has {entry.size_bytes} bytes, more than the {max_bytes} that are allowed here",
            where=Where(file=shown(path)),
        )
    return entry


def refused(path: str, entry: Entry) -> StagecraftError:
    """The error for a link or a submodule at `path`."""
    if entry.problem is not None:
        return entry.problem
    if entry.kind == "submodule":
        return UserError(
            PATH_IS_SUBMODULE,
            f"{shown(path)} is a submodule, and it is not read",
            where=Where(file=shown(path)),
            why="controller.yml allows none for this repository, or .gitmodules does not list it",
            next="set `submodules: true` in the repository's entry in controller.yml, or commit the files "
            "themselves",
        )
    return UserError(
        PATH_IS_LINK,
        f"{shown(path)} is a symbolic link; links are not followed",
        where=Where(file=shown(path)),
        next="commit the file itself in its place",
    )


def too_many(path: str, max_entries: int) -> UserError:
    """The error for a folder with more than `max_entries` files."""
    return UserError(
        TREE_TOO_LARGE,
        f"{shown(path) or 'the repository'} has more than {max_entries} files",
        where=Where(file=shown(path) or None),
    )
