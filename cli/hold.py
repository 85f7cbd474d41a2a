"""`stagecraft hold` and `stagecraft resume`: keep an environment where it is, and let it go."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.settings import Settings, with_settings


@with_settings("env", "dry_run")
def hold(
    settings: Settings,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for everybody who looks.")],
) -> None:
    """Keep what is deployed, whatever is merged, until `resume`. Healing stays on.

    Exit codes: 0 held; 1 nothing is deployed or the environment is unknown.
    """
    from cli.actors import person
    from controller.bootstrap import open_context, open_log
    from controller.commands import hold as run
    from controller.targets import find_environment

    named = settings.required_environment()
    with open_log(settings.home) as log:
        target = find_environment(log, named)
    if settings.dry_run:
        settings.console.line(f"{target} would be held: {reason}")
        return
    with open_context(settings.home, progress=settings.console.progress) as context:
        asyncio.run(run(context, target, reason=reason, actor=person(context.actors)))
    settings.console.line(f"{target} is held: {reason}\nend it with: stagecraft resume --env {named}")


@with_settings("env", "dry_run")
def resume(
    settings: Settings,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")] = "",
) -> None:
    """End a hold, and the rest of healing that did not last. The next look deploys what Git shows.

    Exit codes: 0 ended; 1 there is none, or the environment is unknown.
    """
    from cli.actors import person
    from controller.bootstrap import open_context, open_log
    from controller.commands import resume as run
    from controller.targets import find_environment

    named = settings.required_environment()
    with open_log(settings.home) as log:
        target = find_environment(log, named)
    if settings.dry_run:
        settings.console.line(f"the hold of {target} would end")
        return
    with open_context(settings.home, progress=settings.console.progress) as context:
        asyncio.run(run(context, target, reason=reason, actor=person(context.actors)))
    settings.console.line(f"{target} is resumed; the next look deploys what Git shows and heals")
