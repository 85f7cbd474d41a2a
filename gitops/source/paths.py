"""Paths inside a tree: relative, `/`, no `.` or `..`, "" for the root.

A path is compared and resolved by its parts, never as a string: `app-evil` has the prefix `app` and is not
inside it. `..` is resolved before anything is looked up, as Compose does too, so a link on the way cannot
change where it leads; links themselves are refused when a path is looked up (see `gitops.source.tree`).
"""

from __future__ import annotations

from events.kernel.errors import UserError, Where, error_code
from events.kernel.redact import printable

PATH_ESCAPES = error_code(
    "path-escapes", "A path in a repository leads out of the repository or is not relative."
)

_MAX_SHOWN = 200


def shown(path: str) -> str:
    """`path` as it may stand in a message: printable, no line ends, bounded."""
    text = printable(path.encode(errors="backslashreplace").decode()).replace("\n", " ").replace("\t", " ")
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def resolve(folder: str, text: str) -> str:
    """`text`, as written in a file of `folder`, as a path from the root.

    Raises UserError `path-escapes` for an absolute path, a step above the root and characters that no
    honest path has (NUL, line end).
    """
    if text.startswith("/") or any(mark in text for mark in "\0\n\r"):
        raise escapes(text, "it is not a relative path")
    parts = [part for part in folder.split("/") if part]
    for part in text.split("/"):
        if part in {"", "."}:
            continue
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            raise escapes(text, "it leads above the root of the repository")
    return "/".join(parts)


def parent(path: str) -> str:
    """The folder of `path`, "" for what stands in the root."""
    return path.rpartition("/")[0]


def join(folder: str, name: str) -> str:
    """`name` inside `folder`, both from the root."""
    return f"{folder}/{name}" if folder else name


def inside(folder: str, path: str) -> str | None:
    """`path` seen from `folder`, "" for the folder itself; None when it is not inside."""
    if not folder:
        return path
    if path == folder:
        return ""
    return path.removeprefix(f"{folder}/") if path.startswith(f"{folder}/") else None


def escapes(text: str, why: str) -> UserError:
    """The error for a path that is refused because of `why`."""
    return UserError(
        PATH_ESCAPES,
        f"{shown(text)!r} is refused: {why}",
        where=Where(file=shown(text)),
        next="name a path inside the repository, relative to the file that names it",
    )
