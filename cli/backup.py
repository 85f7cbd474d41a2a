"""`stagecraft backup` and `restore`: a home carried away as one file, and brought back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from controller.backup import Made
    from controller.restoring import Restored
    from events.seals import Seal

_MIB = 1024 * 1024


@with_settings("dry_run")
def backup(
    settings: Settings,
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="DIR|FILE",
            help="Where to; a folder gets a file named after the time.",
        ),
    ] = ".",
    with_keys: Annotated[
        bool,
        typer.Option(
            "--with-keys", help="Also the private keys of the home: keep that file like a password."
        ),
    ] = False,
    without_names: Annotated[
        bool, typer.Option("--without-names", help="Leave out the names behind pseudonyms.")
    ] = False,
) -> int:
    """Copy the log, the names, the blobs and the settings into one file, while everything goes on.

    The log is copied as it is at one moment. The file is read again and compared before it gets its name, and
    none that is there is overwritten. `restore` takes it.

    Exit codes: 0; 1 there is nothing to back up, or the file exists; 2 it cannot be written, or the log that
    is in it does not verify.
    """
    from controller.backup import backup_path, make_backup
    from events.kernel.clock import SystemClock

    now = SystemClock().now()
    place = settings.cwd / to
    path = backup_path(settings.home, place, folder=to.endswith("/") or place.is_dir(), now=now)
    if settings.dry_run:
        settings.console.line(f"{path} would be written")
        return 0
    made = make_backup(settings.home, path, now=now, names=not without_names, keys=with_keys)
    _tell_made(settings, made)
    return 0 if made.manifest.problem is None else 2


def _tell_made(settings: Settings, made: Made) -> None:
    manifest = made.manifest
    blobs = sum(name.startswith("blobs/") for name in manifest.files)
    parts = [f"{manifest.position} events", f"{blobs} blobs", "names" if manifest.names else "no names"]
    keys = "keys" if manifest.keys else "no keys (--with-keys takes them)"
    settings.console.line(
        f"{made.path}: {', '.join([*parts, keys])}; {made.size_bytes / _MIB:.1f} MiB, checked"
    )
    for digest in made.damaged:
        settings.console.warning(f"the stored bytes of {digest} are damaged and were copied as they are")
    if manifest.problem is not None:
        settings.console.warning(
            "the log does not verify; it was copied as it is. Look with `stagecraft audit verify`"
        )


@with_settings("dry_run")
def restore(
    settings: Settings,
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="As `backup` wrote it; of a folder, the newest in it.")
    ],
    seal: Annotated[
        Path | None,
        typer.Option("--seal", metavar="FILE", help="Seals from elsewhere, which the log must fit."),
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", metavar="FILE", help="Whose seals to trust.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where a log is: it is set aside in a folder of the home.")
    ] = False,
    broken: Annotated[
        bool, typer.Option("--broken", help="Also a log that does not verify; it can only be read then.")
    ] = False,
) -> None:
    """Put a backup into the home, checked whole before anything is touched.

    The home must have no log, or --replace sets it aside. No controller may run there meanwhile. Nothing is
    asked of an engine: the next pass of a controller compares what runs with the restored log.

    Exit codes: 0; 1 the home has a log; 2 the backup is damaged or does not verify, the home is in use or
    cannot be written.
    """
    from controller.backup_file import newest_in
    from controller.restoring import Trust
    from controller.restoring import restore as put_back
    from events.kernel.clock import SystemClock
    from events.seals import read_public_keys, read_seals

    seals = () if seal is None else read_seals(settings.cwd / seal)
    keys = None if public_key is None else read_public_keys(settings.cwd / public_key)
    path = settings.cwd / file
    path = newest_in(path) if path.is_dir() else path
    if settings.dry_run:
        settings.console.line(f"{path} would be put into {settings.home.root}")
        return
    trust = Trust(seals=seals, keys=keys, broken=broken)
    done = put_back(settings.home, path, now=SystemClock().now(), replace=replace, trust=trust)
    _tell_restored(settings, done, seals)


def _tell_restored(settings: Settings, done: Restored, seals: tuple[Seal, ...]) -> None:
    log, console = done.log, settings.console
    console.line(f"{settings.home.root}: {log.position} events of log {log.log_id}")
    newest = max((one.position for one in seals if one.log_id == log.log_id), default=0)
    lacks = newest > log.position
    if lacks:
        console.warning(f"a seal covers the log up to {newest}, this backup ends at {log.position}")
    else:
        console.line(log.vouches)
    if done.set_aside is not None:
        console.line(f"what was there before is in {done.set_aside}")
    if not done.manifest.keys:
        console.line("it has no keys: put keys/ back from where you keep them before you go on")
    verify = "stagecraft audit verify"
    rest = " --seal FILE --public-key FILE, then stagecraft log fork --reason TEXT, for the record"
    console.line(f"next: {verify}{rest if lacks else ''}")
