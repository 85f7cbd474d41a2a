"""`stagecraft rollback`: run what ran before, from the record."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.policy import AllowOption, ControllerOption
from cli.settings import Settings, with_settings


@with_settings("env", "dry_run")
def rollback(
    settings: Settings,
    *,
    to_previous: Annotated[
        bool, typer.Option("--to-previous", help="The newest good Release before this one.")
    ] = False,
    to_release: Annotated[
        str | None, typer.Option("--to-release", metavar="ID", help="A Release of this environment.")
    ] = None,
    to_version: Annotated[
        str | None,
        typer.Option("--to-version", "--to", metavar="VERSION", help="The newest of this version."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")] = "",
    allow: AllowOption = None,
    controller: ControllerOption = None,
) -> int:
    """Go back to a recorded Release, without Git, a registry or a build, and hold the environment there.

    Git does not bring the bad version back: a merge passes again once it fixes what was bad. Going back
    twice goes further back. Databases are not migrated down.

    Exit codes: 0 it runs; 1 no such target, or its services do not come up; 2 the engine is at fault, or
    another process took the environment over; 130 after Ctrl-C, 143 after SIGTERM, as in `deploy`.
    """
    from cli.actors import person
    from cli.interrupts import run_to_verdict
    from cli.policy import operator_settings, permissions_of
    from controller.bootstrap import open_context, open_log
    from controller.commands import preview_rollback
    from controller.commands import rollback as run
    from controller.decide.rollback import RollbackTarget
    from controller.targets import find_environment

    wanted = RollbackTarget(to_previous=to_previous, to_release=to_release, to_version=to_version)
    named = settings.required_environment()
    operator, given = operator_settings(settings, controller), permissions_of(allow)
    with open_log(settings.home) as log:
        target = find_environment(log, named)
        if log is not None and settings.dry_run:
            release = preview_rollback(log, target, to=wanted)
            settings.console.line(
                f"Environment: {target}\nTarget: {release.id}\nVersion: {release.version}\n"
                f"Commit: {release.revision or 'N/A'}\nManifest: {release.digest}"
            )
            return 0
    with open_context(settings.home, progress=settings.console.progress, settings=operator) as context:
        work = run(context, target, to=wanted, reason=reason, actor=person(context.actors), allow=given)
        return run_to_verdict(settings.console, context, target, work)
