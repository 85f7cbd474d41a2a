"""`stagecraft hold`, `suspend` and `resume`: keep an environment where it is or alone, and let it go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.on_record import ReasonOption, in_person, only_said, recorded_environment
from cli.settings import Settings, with_settings
from cli.until import UntilOption, moment

if TYPE_CHECKING:
    from controller.decide.hold import Stop


@with_settings("env", "dry_run")
def hold(
    settings: Settings,
    *,
    reason: ReasonOption,
    until: UntilOption = None,
    release: Annotated[
        str | None,
        typer.Option("--release", metavar="ID", help="Only if this Release is what is deployed."),
    ] = None,
) -> None:
    """Keep what is deployed, whatever is merged, until `resume`. Healing stays on.

    Exit codes: 0 held; 1 nothing is deployed, or something else, or the environment is unknown.
    """
    target, end = recorded_environment(settings), moment(until, now=datetime.now(UTC))
    if only_said(settings, f"{target} would be held{_until(end)}: {reason}"):
        return
    from controller.holding import hold as run

    in_person(
        settings,
        lambda context, actor: run(context, target, reason=reason, actor=actor, until=end, release=release),
    )
    settings.console.line(
        f"{target} is held{_until(end)}: {reason}\nend it with: stagecraft resume --env {target} --hold"
    )


@with_settings("env", "dry_run")
def suspend(settings: Settings, *, reason: ReasonOption, until: UntilOption = None) -> None:
    """Leave an environment alone: no deploy by Git, no healing.

    Until `resume`. Its status is still reported, and `rollback` still works.

    Exit codes: 0 suspended; 1 the environment is unknown.
    """
    target, end = recorded_environment(settings), moment(until, now=datetime.now(UTC))
    if only_said(settings, f"{target} would be suspended{_until(end)}: {reason}"):
        return
    from controller.holding import suspend as run

    in_person(settings, lambda context, actor: run(context, target, reason=reason, actor=actor, until=end))
    settings.console.line(
        f"{target} is suspended{_until(end)}: {reason}\n"
        f"end it with: stagecraft resume --env {target} --suspend"
    )


@with_settings("env", "dry_run")
def resume(
    settings: Settings,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")] = "",
    held: Annotated[bool, typer.Option("--hold", help="End the hold, and leave a suspend as it is.")] = False,
    suspended: Annotated[
        bool, typer.Option("--suspend", help="End the suspend, and leave a hold as it is.")
    ] = False,
) -> None:
    """End a hold or a suspend, and the rest of healing that did not last.

    The next look deploys what Git shows. With a hold and a suspend it asks which of them ends.

    Exit codes: 0 ended; 1 there is none or there are both, or the environment is unknown.
    """
    if held and suspended:
        raise typer.BadParameter("name one of them, then the other", param_hint="--hold, --suspend")
    target = recorded_environment(settings)
    ends: Stop | None = "hold" if held else "suspend" if suspended else None
    if only_said(settings, f"the {ends or 'hold or suspend'} of {target} would end"):
        return
    from controller.holding import resume as run

    in_person(settings, lambda context, actor: run(context, target, reason=reason, actor=actor, ends=ends))
    settings.console.line(f"{target} is resumed; the next look deploys what Git shows and heals")


def _until(end: datetime | None) -> str:
    return "" if end is None else f" until {end:%Y-%m-%dT%H:%M:%SZ}"
