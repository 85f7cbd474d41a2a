"""Watching the refs of a repository on this machine, so that a push is noticed at once.

A hint only: whoever is woken asks the repository. Watched are the folder of the ref and those above
it, `packed-refs` and `HEAD`; never the objects, which a push writes by the thousand. A folder that comes or
goes moves the watch. A folder that cannot be watched at all raises, and polling goes on without it.

The only module that imports watchfiles.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import cast

import watchfiles

from events.kernel.errors import OutsideError, error_code
from gitops.source.address import parse_address

REPOSITORY_NOT_WATCHED = error_code(
    "repository-not-watched", "The folders of a local repository cannot be watched; it is polled instead."
)

_STEP_MILLISECONDS = 100  # how often the kernel's queue is looked at: latency against idle work
_GROUP_MILLISECONDS = 400
_MAX_CHECK_MILLISECONDS = 15_000  # a folder that vanished with its watch is noticed after this time
_OF_GIT_FOLDER = frozenset({"HEAD", "packed-refs", "refs"})

_awatch = cast("Callable[..., AsyncGenerator[set[tuple[object, str]]]]", watchfiles.awatch)  # pyright: ignore[reportUnknownMemberType]  # partly untyped


def git_folder(url: str) -> Path | None:
    """The folder with the refs of a repository on this machine; None for one elsewhere or for none."""
    address = parse_address(url)
    if not address.local:
        return None
    root = Path(address.url)
    inner = root / ".git"
    if inner.is_file():
        named = inner.read_text(errors="replace").removeprefix("gitdir:").strip()
        inner = (root / named).resolve()
        common = inner / "commondir"
        inner = (inner / common.read_text().strip()).resolve() if common.is_file() else inner
    folder = inner if inner.is_dir() else root
    return folder if (folder / "refs").is_dir() else None


async def watch_refs(folder: Path, ref: str) -> AsyncGenerator[None]:
    """One item each time `ref`, which is fully qualified, may have changed; ends when the repository is gone.

    Tags that are watched by a range have their folder watched.

    Raises OutsideError `repository-not-watched`.
    """
    while folders := _folders(folder, ref):
        try:
            async for changes in _awatch(
                *folders,
                recursive=False,
                watch_filter=None,
                step=_STEP_MILLISECONDS,
                debounce=_GROUP_MILLISECONDS,
                rust_timeout=_MAX_CHECK_MILLISECONDS,
                yield_on_timeout=True,
            ):
                if any(_matters(Path(path), folder) for _, path in changes):
                    yield
                if _folders(folder, ref) != folders:
                    break
        except (OSError, RuntimeError) as error:
            raise OutsideError(REPOSITORY_NOT_WATCHED, f"cannot watch {folder}", why=str(error)) from error
        yield


def _folders(folder: Path, ref: str) -> list[Path]:
    """What exists of the folders that hold the ref, from the top."""
    found = [folder]
    for part in ref.split("/")[:-1]:
        found.append(found[-1] / part)
    return [one for one in found if one.is_dir()] if (folder / "refs").is_dir() else []


def _matters(path: Path, folder: Path) -> bool:
    if path.name.endswith(".lock"):
        return False
    return path.parent != folder or path.name in _OF_GIT_FOLDER
