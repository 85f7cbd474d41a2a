"""`stagecraft destroy`: take an environment away, after it was shown and confirmed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.on_record import recorded_environment
from cli.settings import Settings, with_settings
from events.kernel.errors import UserError, Where, error_code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.removing import Survey
    from controller.targets import Target
    from events.catalog.removal import EnvironmentDestroyed

CONFIRMATION_REQUIRED = error_code(
    "confirmation-required", "Something would be taken away for good, and nobody has confirmed it."
)
_SHORT_ID = 12


@with_settings("env", "dry_run")
def destroy(
    settings: Settings,
    *,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="The named volumes too, with their data; asked for by itself.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Confirmed: do not ask for the name.")] = False,
    yes_volumes: Annotated[
        bool, typer.Option("--yes-volumes", help="Confirmed, with --volumes: the data is lost for good.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Take an environment away: its containers and networks, and with --volumes its named volumes.

    What would go is shown first, and the environment's name has to be typed. Volumes and the folders that
    services keep on their host stay, unless --volumes names the former. Git does not bring the environment
    back by itself: a commit that changes it does, and so do `deploy` and `rollback`. Killed half way, run it
    again.

    Exit codes: 0 it is gone, or was; 1 nothing was ever deployed there, or nobody confirmed; 2 the engine is
    at fault, a host does not answer, or another process works on the environment.
    """
    import asyncio

    from cli.actors import person
    from controller.bootstrap import open_context
    from controller.removing import destroy as run
    from controller.removing import survey

    target = recorded_environment(settings)
    with open_context(settings.home, progress=settings.console.progress) as context:
        found = asyncio.run(survey(context, target))
        if settings.dry_run:
            _show(settings, target, found, volumes=volumes, json=json)
            return
        going = frozenset(found.volumes if volumes else ())
        if not (found.destroyed and found.empty and not going):
            if not json:
                _show(settings, target, found, volumes=volumes, json=False)
            _confirm(settings, target, going=going, yes=yes, yes_volumes=yes_volumes)
        ended = asyncio.run(run(context, target, volumes=going, reason=reason, actor=person(context.actors)))
    if json:
        settings.console.json(_ended_json(target, ended))
    else:
        settings.console.line("\n".join(_ended_lines(target, ended)))


def _confirm(
    settings: Settings, target: Target, *, going: frozenset[str], yes: bool, yes_volumes: bool
) -> None:
    """Ask a person, or take the flags of a program. Raises UserError `confirmation-required`."""
    if not yes:
        _typed(settings, f"Type {target} to take it away", expected=str(target), flag="--yes")
    if going and not yes_volumes:
        words = f"delete {len(going)} volume{'' if len(going) == 1 else 's'}"
        question = f"The data in {', '.join(sorted(going))} is lost for good. Type `{words}`"
        _typed(settings, question, expected=words, flag="--yes-volumes")


def _typed(settings: Settings, question: str, *, expected: str, flag: str) -> None:
    if not sys.stdin.isatty():
        raise UserError(
            CONFIRMATION_REQUIRED,
            "nobody is there to confirm it, and nothing was touched",
            next=f"look with --dry-run, then add {flag}",
        )
    answer = settings.console.ask(question, default="")
    if answer.strip() != expected:
        raise UserError(
            CONFIRMATION_REQUIRED,
            f"{answer.strip()[:80]!r} is not {expected!r}; nothing was touched",
            where=Where(),
            next=f"type {expected}, or give {flag}",
        )


def _show(settings: Settings, target: Target, found: Survey, *, volumes: bool, json: bool) -> None:
    if json:
        settings.console.json(_survey_json(target, found, volumes=volumes))
    else:
        settings.console.line("\n".join(_survey_lines(target, found, volumes=volumes)))


def _survey_lines(target: Target, found: Survey, *, volumes: bool) -> Iterable[str]:
    yield f"{target}: {'taken away before; ' if found.destroyed else ''}this would go:"
    for host in found.hosts:
        for one in host.containers:
            yield f"  - {host.host}: container {one.name} {one.id[:_SHORT_ID]} ({one.state})"
        for name in sorted(host.networks.values()):
            yield f"  - {host.host}: network {name}"
        for name in host.volumes:
            sign, words = ("-", " and its data") if volumes else ("=", ", kept without --volumes")
            yield f"  {sign} {host.host}: volume {name}{words}"
        for words in host.kept:
            yield f"  = {host.host}: {words}, so it is kept"
        if host.empty and not host.kept:
            yield f"  {host.host}: nothing"


def _survey_json(target: Target, found: Survey, *, volumes: bool) -> dict[str, Any]:
    return {
        "environment": str(target),
        "destroyed": found.destroyed,
        "dry_run": True,
        "hosts": {
            one.host: {
                "containers": [
                    {"id": each.id, "name": each.name, "service": each.service} for each in one.containers
                ],
                "networks": sorted(one.networks.values()),
                "volumes": list(one.volumes) if volumes else [],
                "kept": [
                    *one.kept,
                    *([] if volumes else [f"volume {name}: its data is kept" for name in one.volumes]),
                ],
            }
            for one in found.hosts
        },
    }


def _ended_lines(target: Target, ended: EnvironmentDestroyed | None) -> Iterable[str]:
    if ended is None:
        yield f"{target} was taken away before; nothing was left to do"
        return
    yield f"{target} is destroyed"
    for host, one in ended.hosts.items():
        counts = {
            "container": len(one.containers), "network": len(one.networks), "volume": len(one.volumes)
        }  # fmt: skip
        words = ", ".join(f"{n} {kind}{'' if n == 1 else 's'}" for kind, n in counts.items() if n)
        yield f"  {host}: removed {words or 'nothing'}"
    for host, lines in ended.kept.items():
        yield from (f"  {host}: {line}" for line in lines)
    yield "Git does not bring it back by itself; a commit that changes it does, or:"
    yield f"  stagecraft deploy --env {target.name}"


def _ended_json(target: Target, ended: EnvironmentDestroyed | None) -> dict[str, Any]:
    hosts = {} if ended is None else {host: one.model_dump(mode="json") for host, one in ended.hosts.items()}
    kept = {} if ended is None else {host: list(lines) for host, lines in ended.kept.items()}
    return {
        "environment": str(target),
        "destroyed": True,
        "dry_run": False,
        "already": ended is None,
        "hosts": {host: {**one, "kept": kept.get(host, [])} for host, one in hosts.items()},
    }
