"""Paths of other repositories' files, which stand in the tree below a folder that no commit can have.

One repository at one commit is a graft, and a graft is a root of its own: a path written in one of its files
leads nowhere outside of it, and no path leads into it but the reference that named it (`gitops.remotes`).
"""

from __future__ import annotations

from gitops.source.paths import escapes, join, resolve

GRAFTS = ".git/remotes"
"""Folder of a tree in which the other repositories stand; Git lets no commit have such a path."""

_GRAFT_DEPTH = len(GRAFTS.split("/")) + 1
_SHORT = 12  # digits of a commit that a person is told


def split_graft(path: str) -> tuple[str, str]:
    """`(graft, path in it)` of a path of a tree; the graft is "" for the repository's own files.

    A path that is not in the normal form of `gitops.source.paths` is nobody's graft.
    """
    if not path.startswith(f"{GRAFTS}/"):
        return "", path
    parts = path.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        return "", path
    return "/".join(parts[:_GRAFT_DEPTH]), "/".join(parts[_GRAFT_DEPTH:])


def is_grafted(path: str) -> bool:
    """Whether `path` is one of another repository."""
    return bool(split_graft(path)[0])


def resolve_within(folder: str, text: str) -> str:
    """`text`, as written in a file of `folder`, as a path from the root of a tree with grafts.

    Nothing leads out of a graft, nor into one but its reference. Raises UserError `path-escapes`.
    """
    graft, inner = split_graft(folder)
    path = resolve(inner, text)
    if not graft and (path == GRAFTS or is_grafted(path)):
        raise escapes(text, "it leads into Git's own folder")
    if not graft:
        return path
    return join(graft, path) if path else graft


def without_commit(path: str) -> str:
    """A grafted path without its commit, which is what stays the same when a pin moves."""
    graft, inner = split_graft(path)
    return join(graft.rpartition("/")[2].rpartition("@")[0], inner)


def told(path: str) -> str:
    """A path of a tree as a person is told of it: a grafted one by its repository and a short commit."""
    graft, inner = split_graft(path)
    name, _at, commit = graft.removeprefix(f"{GRAFTS}/").rpartition("@")
    return f"{name}@{commit[:_SHORT]}/{inner}" if graft else path
