"""A backup of a home while its controller goes on.

The log is copied first, as it was at one moment; names and blobs after it. A name and a blob are there
before an event speaks of them, so a copy that was made in this order lacks nothing, whoever writes
meanwhile. What is not in a backup is what follows from the log or from Git (views, observations, mirrors),
what belongs to a moment (`run/`, the reserve), and, unless asked for, the keys: a backup lies in more places
than a home, and whoever has the key of the seals can make seals.

It is written aside, read again whole and compared, and gets its name only then, which it takes from nobody.
A log that does not verify is backed up as well, because that may be the last copy there is; it says so.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controller.backup_file import (
    LOG,
    NAMES,
    PREFIX,
    SETTINGS,
    SUFFIX,
    BackupWriter,
    Manifest,
    blob_digest,
    unpack,
)
from controller.checked_log import look_at
from controller.home import NOTHING_RECORDED, Home
from events.actors import ACTORS
from events.kernel.errors import OutsideError, UserError, Where, error_code
from events.kernel.files import flush_folder
from events.sqlite_copy import copy_database, settle
from events.sqlite_schema import EVENT_LOG

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from datetime import datetime

    from controller.checked_log import CheckedLog

BACKUP_EXISTS = error_code("backup-exists", "A file of that name is there; a backup overwrites nothing.")
BACKUP_FAILED = error_code("backup-failed", "A backup could not be written; no part of one was left behind.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A backup that was made and read again."""

    path: Path
    size_bytes: int
    manifest: Manifest
    damaged: tuple[str, ...]  # digests of blobs whose stored bytes are not what they say; copied as they are


def backup_path(home: Home, to: Path, *, folder: bool, now: datetime) -> Path:
    """Where the backup goes: the file `to`, or under a name with the time in `to` when that is a folder.

    Raises UserError `nothing-recorded` and `backup-exists`.
    """
    if not home.events_db.is_file():
        raise UserError(
            NOTHING_RECORDED,
            f"nothing was ever recorded in {home.root}, so there is nothing to back up",
            next="name the home with --home DIR",
        )
    path = to / f"{PREFIX}{now:%Y%m%dT%H%M%SZ}{SUFFIX}" if folder else to
    if path.exists():
        raise _exists(path)
    return path


def make_backup(home: Home, path: Path, *, now: datetime, names: bool, keys: bool) -> Made:
    """Write a backup of the home to `path` and check it.

    Raises UserError `backup-exists`, OutsideError `backup-failed`, and what reading the log raises.
    """
    with _explained(path), _folder_beside(path) as beside:
        _copy(home, beside / LOG, names=names)
        looked = look_at(Home(beside))
        aside = beside / path.name
        with aside.open("xb") as file:
            aside.chmod(0o600)
            writer = BackupWriter(file, made_at=now)
            damaged = _pack(writer, home, beside, keys=keys)
            writer.end(_manifest(writer, looked, now=now))
            file.flush()
            os.fsync(file.fileno())
        manifest = unpack(aside, None)
        size_bytes = aside.stat().st_size
        _give_name(aside, path)
    return Made(path=path, size_bytes=size_bytes, manifest=manifest, damaged=damaged)


def _copy(home: Home, log: Path, *, names: bool) -> None:
    copy_database(home.events_db, EVENT_LOG, log)
    if names and home.actors_db.is_file():
        copy_database(home.actors_db, ACTORS, log.with_name(NAMES))


def _pack(writer: BackupWriter, home: Home, beside: Path, *, keys: bool) -> tuple[str, ...]:
    """Add everything; answers the damaged blobs."""
    for name in (LOG, NAMES):
        if (beside / name).is_file():
            settle(beside / name)
            writer.add(name, beside / name)
    if home.controller_file.is_file():
        writer.add(SETTINGS, home.controller_file)
    damaged: list[str] = []
    for name, path in _blobs(home):
        promised = blob_digest(name)
        if writer.add(name, path).digest != promised:
            damaged.append(str(promised))
    if keys and home.keys.is_dir():
        for path in sorted(home.keys.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                writer.add(f"keys/{path.name}", path)
    return tuple(damaged)


def _blobs(home: Home) -> Iterator[tuple[str, Path]]:
    """Blobs by their names in the archive; what is being written has another name until it is whole."""
    for path in sorted(home.blobs.glob("[0-9a-f][0-9a-f]/[0-9a-f]*")):
        if path.is_file():
            yield f"blobs/{path.parent.name}/{path.name}", path


def _manifest(writer: BackupWriter, looked: CheckedLog, *, now: datetime) -> Manifest:
    return Manifest(
        made_at=now,
        log_id=looked.log_id,
        lineage=looked.lineage,
        position=looked.position,
        hash=looked.hash.hex(),
        problem=looked.problem,
        names=NAMES in writer.files,
        keys=any(name.startswith("keys/") for name in writer.files),
        files=writer.files,
    )


def _give_name(aside: Path, path: Path) -> None:
    """Move it to its name unless somebody has that; durably. Raises UserError `backup-exists`."""
    try:
        os.link(aside, path)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError:  # a file system without hard links
        if path.exists():
            raise _exists(path) from None
        aside.rename(path)
    flush_folder(path.parent)


@contextmanager
def _folder_beside(path: Path) -> Generator[Path]:
    """A private folder on the same disk, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=".stagecraft-backup-", dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _explained(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise OutsideError(
            BACKUP_FAILED,
            "the backup cannot be written; nothing of it was left behind",
            where=Where(file=str(path)),
            why=error.strerror or str(error),
            next=f"look at {path.parent}: is it a folder that can be written, with room for twice the log?",
        ) from error


def _exists(path: Path) -> UserError:
    return UserError(
        BACKUP_EXISTS, f"{path} is there already", next="name another file, or a folder, with --to"
    )
