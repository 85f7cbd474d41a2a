"""The mirror of a repository that the operator names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.source.git import Mirror

if TYPE_CHECKING:
    from pathlib import Path

    from controller.home import Home


def open_mirror(home: Home, url: str, *, cwd: Path) -> Mirror:
    """The mirror of `url`; a path is taken from the current folder, so it means the same from everywhere."""
    local = cwd / url
    return Mirror(str(local.resolve()) if local.exists() else url, folder=home.mirrors)
