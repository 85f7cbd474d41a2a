"""What commands share that put a person's wish on the record: for which environment, and in whose name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cli.settings import Settings
    from controller.context import Context
    from controller.targets import Target
    from events.envelope import Actor

ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for everybody who looks.")]

R = TypeVar("R")


def recorded_environment(settings: Settings) -> Target:
    """The environment of `--env`, as the log knows it.

    Raises UserError `environment-required`, `environment-not-single`, `environment-unknown` or
    `environment-ambiguous`.
    """
    from controller.bootstrap import open_log
    from controller.targets import find_environment

    named = settings.required_environment()
    with open_log(settings.home) as log:
        return find_environment(log, named)


def only_said(settings: Settings, words: str) -> bool:
    """Whether this is a dry run, which is over once it has said `words`."""
    if settings.dry_run:
        settings.console.line(words)
    return settings.dry_run


def in_person(settings: Settings, work: Callable[[Context, Actor], Awaitable[R]]) -> R:
    """Do `work` in the name of whoever is at the keyboard; raises what it raises."""
    import asyncio

    from cli.actors import person
    from controller.bootstrap import open_context

    async def run(context: Context) -> R:
        return await work(context, person(context.actors))

    with open_context(settings.home, progress=settings.console.progress) as context:
        return asyncio.run(run(context))
