"""When two renders must be the same: equal inputs, equal renderer.

The inputs are all paths that a render opened, collected or looked for, with Git's name of what was there, so
a later commit is compared by a few look-ups and without a render; also with absent paths, because a file that
is added may be taken in place of another. Where the version is the commit itself and a file uses it, the
root of the tree is an input: every commit is another image then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from events.kernel.canonical import digest_of
from events.kernel.compose_client import compose_client_version
from events.kernel.errors import UserError
from gitops.source.tree import Tree

RENDERER_GENERATION = 3
"""Raised when the same inputs give other bytes: known trees are rendered again then, their pins stay."""

ROOT = ""


def renderer() -> str:
    """The version of what renders."""
    return f"stagecraft-{RENDERER_GENERATION}+compose-{compose_client_version()}"


def inputs_of(tree: Tree, paths: Iterable[str]) -> dict[str, str | None]:
    """`{path: identity}`, sorted; None for what is absent."""
    return {path: identity(tree, path) for path in sorted(set(paths))}


def identity(tree: Tree, path: str) -> str | None:
    """Git's name of what stands at `path`, with its kind where the name alone does not say it.

    A file that becomes executable, or a link, keeps its object id; its identity changes.
    """
    try:
        found = tree.named(path)
    except UserError:
        return None  # behind a link: a render refuses it
    if found is None:
        return None
    kind, object_id = found
    return object_id if kind in {"file", "folder"} else f"{object_id}:{kind}"


def render_key(inputs: Mapping[str, str | None], renderer: str) -> str:
    """The digest that names a render."""
    return digest_of({"inputs": dict(inputs), "renderer": renderer})


def same_inputs(inputs: Mapping[str, str | None], tree: Tree) -> bool:
    """Whether a render of `tree` would find what an earlier one found; opens no file."""
    return all(identity(tree, path) == found for path, found in inputs.items())
