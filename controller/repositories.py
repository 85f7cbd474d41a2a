"""A repository that the operator watches: its name in streams and its mirror."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gitops.source.address import check_address, slug
from gitops.source.mirror import Mirror

if TYPE_CHECKING:
    from pathlib import Path

    from controller.home import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One watched repository."""

    slug: str
    mirror: Mirror
    url: str = field(repr=False)  # as Git takes it; may hold credentials


def watched(home: Home, url: str, *, cwd: Path) -> Watched:
    """The repository at `url`; a path is taken from the current folder, so it means the same from everywhere.

    Raises UserError `repository-url-refused`.
    """
    address = local_or_url(url, cwd=cwd)
    name = slug(address)
    return Watched(slug=name, mirror=Mirror(address, home.mirrors / f"{name}.git"), url=address)


def local_or_url(url: str, *, cwd: Path) -> str:
    """`url`, or the absolute path of what is there. Raises UserError `repository-url-refused`."""
    check_address(url)
    local = cwd / url
    return str(local.resolve()) if _exists(local) else url


def _exists(path: Path) -> bool:
    """Whether something is at `path`; nothing is at a path that no file system takes."""
    try:
        return path.exists()
    except OSError:
        return False
