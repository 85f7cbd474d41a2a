"""Folders of files as trees, for tests that need no Git."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gitops.source.worktree import WorkTree

SMALLEST = {
    "stagecraft.yml": "project: {name: hello}\nenvironments: {prod: {}}\n",
    "compose.yaml": "services: {web: {image: web:1}}\n",
}


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write `files`; missing folders are made."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)


def tree_of(folder: Path, files: Mapping[str, str | bytes]) -> WorkTree:
    """A tree with exactly `files`."""
    write(folder, files)
    return WorkTree(folder)
