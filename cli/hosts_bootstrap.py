"""`stagecraft hosts bootstrap`: making machines hosts."""

from __future__ import annotations

import enum
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.destroy import CONFIRMATION_REQUIRED
from cli.hosts_check import fleet_of
from cli.policy import ControllerOption, operator_settings
from cli.settings import Settings, with_settings
from events.kernel.errors import ExitCode, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.host_bootstrap import HostResult, Install, Prepared


class Way(enum.StrEnum):
    """How an engine gets to a machine."""

    APT = "apt"
    SCRIPT = "script"
    SKIP = "skip"


_WAYS: Mapping[Way, Install] = {Way.APT: "apt", Way.SCRIPT: "script", Way.SKIP: "skip"}


@with_settings("dry_run", "config")
def bootstrap(
    settings: Settings,
    *,
    hosts: Annotated[list[str], typer.Argument(metavar="HOST...", help="The machines to make hosts.")],
    install: Annotated[
        Way | None,
        typer.Option(
            "--install",
            help="How an engine gets there: `apt`, Docker's own `script`, or not at all; as in "
            "`infra.bootstrap.docker.install` of the project unless given, else `apt`.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do what is announced without a question.")] = False,
    controller: ControllerOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Make machines hosts: an engine that answers, and a folder for what is deployed; nothing else.

    What is to be done is announced first, and asked about unless --yes is given. A machine that has all of it
    is left as it is. Each machine ends with success, failed or skipped, and a failure of one stops no other.

    Exit codes: 0 no machine failed; 1 no such host, or it was not agreed to; 2 some machine failed.
    """
    import asyncio

    from cli.actors import person
    from controller.bootstrap import open_context
    from controller.host_asking import chosen_hosts
    from controller.host_bootstrap import bootstrap_hosts, prepare_hosts

    operator, way = operator_settings(settings, controller), _WAYS[install or _configured(settings)]
    with open_context(settings.home, progress=settings.console.progress, settings=operator) as context:
        asked = chosen_hosts(fleet_of(context), hosts)

        async def prepare() -> list[Prepared]:
            return await prepare_hosts(asked, install=way, clock=context.clock)

        prepared = asyncio.run(prepare())
        if settings.dry_run:
            return _show(settings, [one.foretold for one in prepared], json=json)
        _announce(settings, prepared, yes=yes)

        async def work() -> list[HostResult]:
            return await bootstrap_hosts(
                prepared,
                clock=context.clock,
                recorder=lambda: context.recorder(person(context.actors)),
                say=settings.console.progress,
            )

        return _show(settings, asyncio.run(work()), json=json)


def _configured(settings: Settings) -> Way:
    """What the project file says, where there is one. Raises UserError `config-invalid`."""
    from gitops.config.load import project_at
    from gitops.source.worktree import WorkTree

    path = settings.cwd / settings.config
    if not path.is_file():
        return Way.APT
    infra = project_at(WorkTree(path.parent), path.name)[1].infra
    bootstrap = None if infra is None else infra.bootstrap
    docker = None if bootstrap is None else bootstrap.docker
    return Way.APT if docker is None else Way(docker.install)


def _announce(settings: Settings, prepared: Sequence[Prepared], *, yes: bool) -> None:
    """Say what will be done. Raises UserError `confirmation-required` where nobody agrees to it."""
    lines = [f"{one.host}: {step.does}" for one in prepared if one.result is None for step in one.steps]
    if not lines:
        return
    settings.console.progress("this will be done:\n" + "\n".join(f"  {line}" for line in lines))
    if yes:
        return
    if not sys.stdin.isatty() or not settings.console.confirm("Go on?"):
        raise UserError(
            CONFIRMATION_REQUIRED,
            "nobody confirmed it, and nothing was touched",
            next="look with --dry-run, then add --yes",
        )


def _show(settings: Settings, results: Sequence[HostResult], *, json: bool) -> int:
    if json:
        settings.console.json({"hosts": [one.as_json() for one in results]})
    else:
        for one in results:
            why = f": {one.why}" if one.why else ""
            settings.console.line(f"{one}{why}")
            shown = one.done if one.done or one.status == "failed" else one.plan
            for line in shown:
                settings.console.line(f"  {'would ' if settings.dry_run else ''}{line}")
    failed = any(one.status == "failed" for one in results)
    return ExitCode.OUTSIDE if failed else ExitCode.OK
