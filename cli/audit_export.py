"""`stagecraft audit export` and `verify-export`: the log for an auditor, and what it proves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.settings import Settings, with_settings
from events.kernel.errors import ExitCode, OutsideError, UserError, Where, error_code

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from events.export import Export, Range
    from events.export_check import Verdict
    from events.log import EventLog

EXPORT_UNREADABLE = error_code("export-unreadable", "The file of an export cannot be read.")

Form = Literal["jsonl", "csv"]


@with_settings("dry_run")
def export_command(
    settings: Settings,
    *,
    form: Annotated[Form, typer.Option("--format", help="One JSON object a line, or a table.")] = "jsonl",
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME|POSITION", help="Begin with the events of then.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME|POSITION", help="End with the events of then.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write this file, not to stdout.")
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="Hand over the names behind pseudonyms, as far as they are known.")
    ] = False,
) -> int:
    """Write the log, or a part of it, as one file that proves itself without this machine.

    Events stand in it as they were recorded, a line each; its last line is the manifest: which part of the
    log it is, digests, the newest seal, and a signature when this home has the key of the seals. Hand it over
    together with the public key; `audit verify-export` checks it, anywhere.

    A log that was changed is exported as it is, for the file is evidence too, with a warning.

    Exit codes: 0; 1 there is no event to export; 2 the log does not verify or cannot be read, or the file
    cannot be written.
    """
    from controller.bootstrap import open_log, open_names
    from controller.home import NOTHING_RECORDED
    from events.kernel.clock import SystemClock

    now = SystemClock().now()
    with open_log(settings.home) as log:
        if log is None:
            raise UserError(
                NOTHING_RECORDED,
                f"nothing was ever recorded in {settings.home.root}, so there is nothing to export",
                next="name the home with --home DIR",
            )
        wanted = _range(log, since=since, until=until, now=now)
        with open_names(settings.home) as name_of:
            export = _export(settings, log, wanted, form=form, name_of=name_of if names else None, now=now)
            _write(settings, export, output)
    if export.unfit is None:
        return ExitCode.OK
    settings.console.warning(
        f"event {export.unfit} is not as it was recorded, and `audit verify-export` will say so. "
        "Look with `stagecraft audit verify`"
    )
    return ExitCode.OUTSIDE


def _range(log: EventLog, *, since: str | None, until: str | None, now: datetime) -> Range:
    from controller.moments import position_before, position_upto
    from events.export import chosen_range

    after = 0 if since is None else position_before(log, since, now=now)
    upto = log.head() if until is None else position_upto(log, until, now=now)
    return chosen_range(log, after=after, upto=upto)


def _export(
    settings: Settings,
    log: EventLog,
    wanted: Range,
    *,
    form: Form,
    name_of: Callable[[str], str | None] | None,
    now: datetime,
) -> Export:
    from controller.seal_keys import SealKeys
    from events.export import Export
    from events.kernel.clock import format_utc

    key = SealKeys(folder=settings.home.keys, log=log).at_hand()
    return Export(log=log, wanted=wanted, form=form, exported_at=format_utc(now), name_of=name_of, key=key)


def _write(settings: Settings, export: Export, path: Path | None) -> None:
    from cli.output import written_file

    if path is None:
        for line in export.lines():
            settings.console.content(line)
        return
    path = settings.cwd / path
    told = f"events {export.wanted.first} to {export.wanted.last}"
    if settings.dry_run:
        settings.console.line(f"{told} would be written to {path}")
        return
    with written_file(path, mode=0o600) as file:
        file.writelines(export.lines())
    by = export.manifest and export.manifest.signature
    signed = f"signed with key {by.key_id}" if by else "not signed: this home has no key of seals"
    settings.console.progress(f"{told} are in {path}, {signed}")


@with_settings()
def verify_export_command(
    settings: Settings,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `audit export` wrote it.")],
    public_key: Annotated[
        Path | None,
        typer.Option("--public-key", metavar="FILE", help="Whom to trust; as `audit key show` writes it."),
    ] = None,
    seal: Annotated[
        Path | None,
        typer.Option("--seal", metavar="FILE", help="Seals from elsewhere, which the events must fit."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Check an export, without a home and without the log that it is of.

    Every digest is reckoned anew, the chain is followed from the first event to the last, and the seals and
    the signature are checked with the key. What is said to be so is no more than the file proves.

    Exit codes: 0 the events are as they were recorded; 1 the key or the seals cannot be read; 2 something is
    not as it was, and the first place where, or the file cannot be read.
    """
    from events.export_check import check_export
    from events.seals import read_public_keys, read_seals

    keys = None if public_key is None else read_public_keys(settings.cwd / public_key)
    seals = () if seal is None else read_seals(settings.cwd / seal)
    path = settings.cwd / file
    try:
        verdict = check_export(path, keys=keys, seals=seals)
    except OSError as error:
        raise OutsideError(
            EXPORT_UNREADABLE,
            "the export cannot be read",
            where=Where(file=str(file)),
            why=error.strerror or str(error),
        ) from error
    if json:
        settings.console.json(verdict.as_json())
    else:
        settings.console.line("\n".join(_told(verdict, trusted=keys is not None)))
    return ExitCode.OK if verdict.ok else ExitCode.OUTSIDE


def _told(verdict: Verdict, *, trusted: bool) -> list[str]:
    """The verdict for people."""
    lines = [_whole(verdict)]
    problem = verdict.problem
    if problem is not None:
        place = "" if problem.position is None else f" at position {problem.position}"
        return [f"NOT as it was recorded: {problem.kind}{place}: {problem.detail}", *lines]
    manifest = verdict.manifest
    if manifest is not None:
        if manifest.first > 1:
            lines.append(f"events 1 to {manifest.first - 1} are not in the file")
        if manifest.last < manifest.head:
            lines.append(f"the log had {manifest.head} events when it was exported")
    return [*lines, _sealed(verdict, trusted=trusted), *_signed(verdict, trusted=trusted)]


def _whole(verdict: Verdict) -> str:
    if verdict.first is None or verdict.manifest is None:
        return "nothing in the file can be vouched for"
    of = f"of log {verdict.manifest.log_id}"
    events = f"events {verdict.first} to {verdict.last} {of}"
    return f"{events} fit together: none was changed, moved or taken out between them"


def _sealed(verdict: Verdict, *, trusted: bool) -> str:
    if verdict.seal is None or verdict.sealed_to is None:
        why = "no seal covers them" if trusted else "no public key was given, so no seal was checked"
        return f"{why}: complete up to an unknown end"
    sealed, last = verdict.sealed_to, verdict.last or 0
    rest = f"; the chain alone holds {_events(sealed + 1, last)}" if last > sealed else ""
    by = f"at {verdict.seal.at} by key {verdict.seal.key_id}"
    return f"sealed to {sealed}, {by}: complete up to {sealed}, unknown after{rest}"


def _events(first: int, last: int) -> str:
    return f"event {first}" if first == last else f"events {first} to {last}"


def _signed(verdict: Verdict, *, trusted: bool) -> list[str]:
    if verdict.signed_by is None or verdict.manifest is None:
        return ["nobody trusted signed the file as a whole"] if trusted else []
    names = ", names included" if verdict.manifest.names is not None else ""
    at = verdict.manifest.exported_at
    return [f"the file is as it was exported at {at}, signed by key {verdict.signed_by}{names}"]
