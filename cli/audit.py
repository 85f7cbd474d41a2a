"""`stagecraft audit`: whether the log is as it was written, seals of it, and the key that signs them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.audit_export import export_command, verify_export_command
from cli.policy import ControllerOption
from cli.settings import Settings, group, required_reason, with_settings
from events.kernel.errors import ExitCode

if TYPE_CHECKING:
    from events.broken import LogProblem
    from events.verdict import Verdict

app = group("Prove that the log is as it was written.")
key = group("The key that signs seals.")
app.add_typer(key, name="key")
app.command("export")(export_command)
app.command("verify-export")(verify_export_command)


@app.command("verify")
@with_settings()
def verify(
    settings: Settings,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    seal: Annotated[
        Path | None,
        typer.Option(
            "--seal", metavar="FILE", help="Seals that were kept elsewhere: one, or one a line, newest last."
        ),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(
            "--public-key", metavar="FILE", help="Trust this key alone, and those that it hands over to."
        ),
    ] = None,
    controller: ControllerOption = None,
) -> int:
    """Check that no event was changed, exchanged, taken out or cut off, and no blob either.

    Every digest is reckoned anew, from the first event to the newest. A seal that was kept elsewhere shows
    what the file alone cannot: an end that was cut without a trace, and a part that was written anew. Without
    one the verdict is "complete up to an unknown end".

    A problem is marked in the log, which is then only read until it verifies or is forked.

    Exit codes: 0 nothing was found; 1 the seals or the key cannot be used, or do not belong together; 2
    something was found, or the log cannot be read.
    """
    from controller.auditing import look_through
    from events.seals import read_public_keys, read_seals

    outside = () if seal is None else read_seals(settings.cwd / seal)
    keys = None if public_key is None else read_public_keys(settings.cwd / public_key)
    verdict = look_through(settings.home, outside=outside, keys=keys)
    marked = _marked(settings, verdict)
    if verdict.ok:
        verdict = replace(verdict, notes=(*verdict.notes, *_missing(settings)))
    if json:
        settings.console.json(verdict.as_json())
    else:
        problem = verdict.problem
        lines = _whole(verdict) if problem is None else _found(verdict, problem, marked=marked)
        settings.console.line("\n".join([*lines, *verdict.notes, *_leaving(settings, controller)]))
    return ExitCode.OK if verdict.ok else ExitCode.OUTSIDE


def _marked(settings: Settings, verdict: Verdict) -> bool:
    """Mark the log by the verdict, as far as it can be written; whether it is only read from now on."""
    from controller.auditing import note_problem
    from controller.bootstrap import open_log
    from events.kernel.errors import OutsideError

    try:
        with open_log(settings.home) as log:
            if log is None:
                return False
            note_problem(log, verdict)
            return log.problem() is not None
    except OutsideError as error:
        settings.console.warning(f"the log is not marked: {error.message}")
        return False


def _missing(settings: Settings) -> list[str]:
    """A word for each environment whose Manifest is gone: nothing false, and yet no way back to it."""
    from cli.reading import History
    from controller.bootstrap import open_log
    from events.blobs import FileBlobStore
    from projections.views.environment_fold import ENVIRONMENTS
    from projections.views.environments import find_environment, list_environments

    if not settings.home.blobs.is_dir():
        return []  # a copy of the log alone
    blobs, words = FileBlobStore(settings.home.blobs), list[str]()
    with open_log(settings.home) as log:
        history = History(settings, log)
        nothing: list[tuple[str, str]] = []
        for project, name in history.ask([ENVIRONMENTS], list_environments, nothing=nothing):
            find = partial(find_environment, project=project, name=name)
            known = history.ask([ENVIRONMENTS], find, nothing=None)
            digest = None if known is None else known.deployed.digest
            if digest is not None and not blobs.has(digest):
                words.append(f"the Manifest of what is deployed in {project}/{name} is gone: {digest}")
    return words


def _whole(verdict: Verdict) -> list[str]:
    if not verdict.to:
        return ["the log has no events"]
    return [f"events 1 to {verdict.to} are as they were written", verdict.vouches, *_sealed(verdict)]


def _sealed(verdict: Verdict) -> list[str]:
    if verdict.outside or verdict.sealed_to is None or verdict.seal is None:
        return [] if verdict.outside else ["no seal is in the log"]
    at, by = verdict.seal.at, verdict.seal.key_id
    return [f"the newest seal in the log is of event {verdict.sealed_to}, made {at} by key {by}, and fits"]


def _found(verdict: Verdict, problem: LogProblem, *, marked: bool) -> list[str]:
    place = f"event {problem.position}" if problem.position else "the log"
    good = f"events 1 to {verdict.to} fit" if verdict.to else "no event before it fits"
    lines = [f"{place}: {problem.kind}: {problem.detail}", good]
    if problem.kind == "blob":
        return [*lines, "next: put the file back from a backup, or remove it; then stagecraft audit verify"]
    if marked:
        return [*lines, "the log is only read now", "next: stagecraft log fork --reason TEXT"]
    return lines


def _leaving(settings: Settings, controller: str | None) -> list[str]:
    """A word where seals stay on this machine; a file that cannot be read is another command's matter."""
    from cli.policy import settings_at_hand
    from events.kernel.errors import UserError

    try:
        operator = settings_at_hand(settings, controller)
        places = [] if operator is None else operator.seals.to
    except UserError:
        return []
    return [] if places else ["no seal leaves this machine: name a place with seals.to in controller.yml"]


@app.command("seal")
@with_settings()
def seal(
    settings: Settings,
    *,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Add it to this file, instead of printing it.")
    ] = None,
) -> None:
    """Sign where the log stands now and print the seal, to be kept on another machine.

    The controller does this by itself and brings seals to the places of `seals.to` in controller.yml. The
    first seal makes the key. Where nothing was recorded since the newest seal, that one is printed.

    Exit codes: 0 a seal was made; 1 the key can be read by others; 2 the key is missing, the log does not
    verify, or a file cannot be written.
    """
    import asyncio

    from cli.actors import person
    from controller.bootstrap import open_record
    from controller.seal_places import SealFile
    from controller.sealing import sealer_of

    with open_record(settings.home) as record:
        sealer = sealer_of(record, actor=person(record.actors), say=settings.console.progress)
        made = sealer.newest_or_made()
    if to is None:
        settings.console.json(made.as_json(), compact=True)
        return
    asyncio.run(SealFile(settings.cwd / to, name=f"file {to}").deliver(made))
    settings.console.line(f"the seal of event {made.position} was added to {to}")


@key.command("show")
@with_settings()
def show(
    settings: Settings,
    *,
    every: Annotated[bool, typer.Option("--all", help="Former keys as well, newest last.")] = False,
) -> None:
    """Print the public key that checks seals, as a PEM file for an auditor.

    Exit codes: 0; 1 no key was made yet; 2 the log cannot be read.
    """
    from controller.bootstrap import open_log
    from controller.seal_keys import SealKeys, no_key
    from events.ed25519 import public_pem

    with open_log(settings.home) as log:
        known = {} if log is None else SealKeys(folder=settings.home.keys, log=log).named()
    if not known:
        raise no_key()
    shown = list(known.values()) if every else list(known.values())[-1:]
    settings.console.line("".join(public_pem(one).decode() for one in shown).rstrip("\n"))


@key.command("rotate")
@with_settings()
def rotate(
    settings: Settings,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")],
    lost: Annotated[
        bool, typer.Option("--lost", help="The former key is gone and cannot sign the new one over.")
    ] = False,
) -> None:
    """Let another key sign seals from now on; the former one signs it over and is removed.

    Whoever trusts the former public key trusts the new one by that signature. After --lost they have to be
    given the new one.

    Exit codes: 0 it signs; 1 there is no key yet, or it can be read by others; 2 the key is missing or the
    log does not verify.
    """
    from cli.actors import person
    from controller.bootstrap import open_record
    from controller.seal_keys import SealKeys

    why = required_reason(reason, "a key is rotated")
    with open_record(settings.home) as record:
        keys = SealKeys(folder=settings.home.keys, log=record.log)
        made = keys.rotate(record.recorder(person(record.actors)), reason=why, lost=lost)
    settings.console.line(f"{made.id} signs seals from now on\nnext: stagecraft audit key show")
