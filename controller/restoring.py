"""A home from a backup: checked whole before anything of the home is touched.

The backup is unpacked into a folder of the home's own disk and checked there: each file against the manifest,
the log by its chain, and by a seal when one is given. Only then is it moved into place, the log last: a home
whose restore was cut off has no log, and the next restore begins anew. What stood there before is not
overwritten but set aside, in a folder of the home named after the time.

The log keeps its lineage, so that the containers it made are its own again. Views and observations are made
anew. Nothing is asked of an engine: what was deployed after the backup still runs, and the next pass of a
controller brings the hosts to what the restored log and Git say.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controller.backup_file import LOG, NAMES, SETTINGS, Manifest, damaged, unpack
from controller.checked_log import look_at
from controller.holders import holder_of
from controller.home import Home
from events.kernel.errors import OutsideError, UserError, Where, error_code
from events.kernel.files import flush_folder
from events.sqlite_copy import settle

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from datetime import datetime

    from controller.checked_log import CheckedLog
    from events.ed25519 import PublicKeys
    from events.seals import Seal

HOME_IN_USE = error_code(
    "home-in-use", "A process works with the home at this moment, so it is not replaced under its feet."
)
HOME_HAS_LOG = error_code("home-has-log", "The home has a log; restoring over it has to be asked for.")
SEALS_OF_ANOTHER_LOG = error_code(
    "seals-of-another-log", "No seal of the file that was given speaks of the log that it should prove."
)
RESTORE_FAILED = error_code("restore-failed", "A backup could not be unpacked or moved into the home.")

_RECORD = (LOG, "events.db-wal", "events.db-shm", "events.db-journal", NAMES, "actors.db-journal", "blobs")
"""What a restore replaces, and what would be mistaken for a part of it."""
_DISPOSABLE = ("views.db", "views.db-journal", "observed.db", "observed.db-journal")
_OWN_LOCK = "restore.lock"
_UNPACKED = ".restoring-"
_OWN_FOLDERS = ("blobs", "keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore did."""

    manifest: Manifest
    log: CheckedLog
    set_aside: Path | None  # where what was there before is now; None: there was nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What the log of a backup must fit."""

    seals: Sequence[Seal] = ()  # that were kept elsewhere
    keys: PublicKeys | None = None  # None: those that the log itself names
    broken: bool = False  # whether a log that does not verify is taken as well


def restore(home: Home, file: Path, *, now: datetime, replace: bool, trust: Trust) -> Restored:
    """Put the content of a backup into the home; with `replace` also when there is a log.

    A seal that speaks of more events than the backup has does not hinder: a backup is always older.
    Raises UserError `home-has-log`, OutsideError `home-in-use`, `backup-damaged`, `backup-too-new`,
    `restore-failed` and `home-unusable`; nothing was changed then.
    """
    _refuse_in_use(home)
    if home.events_db.exists() and not replace:
        raise UserError(
            HOME_HAS_LOG,
            f"{home.root} has a log already",
            next="restore into another home with --home DIR, or set this log aside with --replace",
        )
    home.create()
    with _explained(home), _alone(home), _folder_in(home) as unpacked:
        manifest = unpack(file, unpacked)
        log = look_at(Home(unpacked), seals=trust.seals, keys=trust.keys)
        settle(unpacked / LOG)
        _refuse_other(manifest, log, file)
        _refuse_seals_of_another(log, trust)
        if log.problem is not None and not trust.broken:
            raise _does_not_verify(log, file)
        _flush(unpacked)
        _refuse_in_use(home)
        aside = _set_aside(home, home.root / f"replaced-{now:%Y%m%dT%H%M%S%fZ}", keys=manifest.keys)
        _move_in(home, unpacked)
    return Restored(manifest=manifest, log=log, set_aside=aside)


def _refuse_in_use(home: Home) -> None:
    """Raise OutsideError `home-in-use` while a controller or a command holds a lock of the home."""
    for lock in sorted(home.run.glob("*.lock")):
        holder = None if lock.name == _OWN_LOCK else holder_of(lock)
        if holder is not None:
            raise _in_use(home, lock, f"process {holder.pid or '?'}, {holder.purpose or lock.stem}")


def _in_use(home: Home, lock: Path, who: str) -> OutsideError:
    return OutsideError(
        HOME_IN_USE,
        f"{home.root} is in use: {who}",
        where=Where(file=str(lock)),
        next="end it first, or restore into another home with --home DIR",
    )


@contextmanager
def _alone(home: Home) -> Generator[None]:
    """Be the only restore of the home and sweep what a killed one left. Raises OutsideError `home-in-use`."""
    path = home.run / _OWN_LOCK
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _in_use(home, path, "another restore") from error
        for left in home.root.glob(f"{_UNPACKED}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _refuse_other(manifest: Manifest, log: CheckedLog, file: Path) -> None:
    """Raise OutsideError `backup-damaged` for a log that is not the one the manifest tells of."""
    told = (manifest.log_id, manifest.lineage, manifest.position, manifest.hash)
    if told != (log.log_id, log.lineage, log.position, log.hash.hex()):
        raise damaged(file, "its log is not the one that its manifest tells of")


def _refuse_seals_of_another(log: CheckedLog, trust: Trust) -> None:
    """Raise UserError `seals-of-another-log` when seals were given and none speaks of this log."""
    if trust.seals and not any(seal.log_id == log.log_id for seal in trust.seals):
        raise UserError(
            SEALS_OF_ANOTHER_LOG,
            f"the seals are of log {trust.seals[-1].log_id}, the backup is of log {log.log_id}",
            next="name the file with the seals of this log, or another backup",
        )


def _does_not_verify(log: CheckedLog, file: Path) -> OutsideError:
    problem = log.problem or {}
    return damaged(
        file,
        f"its log does not verify: {problem.get('kind')} at position {problem.get('position')}: "
        f"{problem.get('detail')}; with --broken it is restored as it is, and can only be read",
    )


def _set_aside(home: Home, aside: Path, *, keys: bool) -> Path | None:
    """Move what the backup replaces into `aside`, made when there is anything to move.

    The files of the log are linked there first and taken out of the home then: whenever this ends, all that
    belongs together is together in one of the two places.
    """
    for name in _DISPOSABLE:
        (home.root / name).unlink(missing_ok=True)
    names = [name for name in (*_RECORD, *(["keys"] if keys else [])) if (home.root / name).exists()]
    if not names:
        return None
    aside.mkdir(mode=0o700)
    files = [name for name in names if (home.root / name).is_file()]
    for name in files:
        os.link(home.root / name, aside / name)
    flush_folder(aside)
    for name in files:
        (home.root / name).unlink()
    for name in set(names) - set(files):
        (home.root / name).rename(aside / name)
    flush_folder(home.root)
    return aside


def _move_in(home: Home, unpacked: Path) -> None:
    """Move everything into the home, the log last; settings that the home has stay."""
    if (unpacked / SETTINGS).is_file() and not home.controller_file.exists():
        (unpacked / SETTINGS).rename(home.controller_file)
    for name in (*_OWN_FOLDERS, NAMES):
        if (unpacked / name).exists():
            (unpacked / name).rename(home.root / name)
    flush_folder(home.root)
    (unpacked / LOG).rename(home.events_db)
    flush_folder(home.root)


def _flush(folder: Path) -> None:
    """Make everything below `folder` durable."""
    for path in _below(folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _below(folder: Path) -> Iterator[Path]:
    yield folder
    yield from sorted(folder.rglob("*"))


@contextmanager
def _folder_in(home: Home) -> Generator[Path]:
    """A private folder of the home, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=_UNPACKED, dir=home.root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _explained(home: Home) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise OutsideError(
            RESTORE_FAILED,
            f"the backup cannot be put into {home.root}",
            where=Where(file=error.filename or str(home.root)),
            why=error.strerror or str(error),
            next=f"look at {home.root}: is it writable, and has its disk room for the whole backup?",
        ) from error
