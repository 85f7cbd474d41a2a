"""The folders that an app keeps on its host, made without following a link.

An app writes to its own state. A link that it leaves there must not decide where the next mount leads, so
each folder on the way is opened relative to the one before and none is entered through a link. What the app
does in the moment between this and the mount is the engine's to see.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Generator
from pathlib import Path

from events.kernel.errors import UserError, Where
from projections.transport.port import STATE_IS_LINK

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def make_state_folder(root: Path, path: str) -> None:
    """Make `path` below `root`, where it is missing; a file that the app put in its last place stays.

    Raises UserError `state-is-link` and OSError.
    """
    root.mkdir(parents=True, exist_ok=True)
    parts = [part for part in path.split("/") if part]
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_opened(root, None))
        for position, part in enumerate(parts):
            last = position == len(parts) - 1
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=folder)
            try:
                folder = stack.enter_context(_opened(part, folder))
            except OSError as error:
                if _is_link(part, folder):
                    raise _refused(root / "/".join(parts[: position + 1])) from error
                if not last or error.errno != errno.ENOTDIR:
                    raise


@contextlib.contextmanager
def _opened(name: Path | str, folder: int | None) -> Generator[int]:
    descriptor = os.open(name, _FOLDER, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_link(name: str, folder: int) -> bool:
    try:
        os.readlink(name, dir_fd=folder)
    except OSError:
        return False
    return True


def _refused(place: Path) -> UserError:
    return UserError(
        STATE_IS_LINK,
        f"{place} is a link; links in the state of an app are not followed",
        where=Where(file=str(place)),
        next=f"look at it with `ls -l {place}`, and put a folder in its place",
    )
