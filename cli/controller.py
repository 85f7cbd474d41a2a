"""`stagecraft controller`: watch branches and keep environments as they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.policy import ControllerOption
from cli.settings import Settings, group, with_settings
from cli.unit import unit
from cli.watched import BranchOption, RepoOption, check_commits, chosen
from events.kernel.errors import ExitCode, StagecraftError

if TYPE_CHECKING:
    from cli.watched import Choice
    from controller.branch_keys import BranchKey
    from controller.look import Outcome

app = group("Watch branches and keep environments as they say.")
app.command("unit")(unit)


@app.command("run")
@with_settings("env", "dry_run")
def run(
    settings: Settings,
    *,
    repo: RepoOption = None,
    branch: BranchOption = None,
    once: Annotated[
        bool, typer.Option("--once", help="Look once, bring everything to an end, and exit.")
    ] = False,
    grace: Annotated[
        float,
        typer.Option("--grace", metavar="SECONDS", help="When asked to end: time for the work under way."),
    ] = 60.0,
    controller: ControllerOption = None,
) -> int:
    """Watch branches: deploy what is merged, heal what differs, at all environments or those of --env.

    It watches the branch of --repo, or all that controller.yml lists under `repositories`. What it lists for
    the branch of --repo counts for that too.

    It runs until SIGTERM or Ctrl-C, then takes no new work, finishes what is under way and exits; a second
    signal ends it at once. What was not finished is taken up by the next start.

    With --once: one look at each branch, one after the other, also when one of them fails. A look that finds
    nothing new changes nothing. A merge that a hold defers, which the log says already, is no error.

    Exit codes: 0 it was asked to end, or with --once all is as it should be or deferred; 1 a commit, its
    services or the configuration is at fault; 2 the repository, an engine, a registry or a host is. With
    several the highest.
    """
    import asyncio

    choice = chosen(settings, repo=repo, branch=branch, controller_file=controller)
    check_commits(settings, choice, controller_file=controller)
    if settings.dry_run:
        return asyncio.run(_show_only(settings, choice))
    if not once:
        from cli.daemon import run_for_ever

        return run_for_ever(settings, choice, grace_seconds=grace)
    return asyncio.run(_look_once(settings, choice))


async def _look_once(settings: Settings, choice: Choice) -> int:
    from controller.bootstrap import open_context
    from controller.once import look_at_all, unknown_anywhere

    codes: list[ExitCode] = []
    with open_context(settings.home, progress=settings.console.progress, settings=choice.file) as context:
        looks = look_at_all(context, choice.places, config_path=settings.config, only=choice.only)
        async for found in looks:
            if found.error is not None:
                codes.append(_left(settings, choice, found.key, found.error))
            codes += [_report(settings, outcome) for outcome in found.outcomes]
    if choice.only and not codes:
        raise unknown_anywhere(choice.only)
    return max(codes, default=ExitCode.OK)


async def _show_only(settings: Settings, choice: Choice) -> int:
    from cli.plan_text import as_text
    from controller.branch_preview import preview_branch

    code, texts = ExitCode.OK, list[str]()
    for place in choice.places:
        try:
            shown = await preview_branch(
                settings.home,
                place,
                only=choice.only,
                config_path=settings.config,
                policy=choice.file.policy,
            )
        except StagecraftError as error:
            code = max(code, _left(settings, choice, place.key, error))
        else:
            head = "" if choice.named else f"Branch: {place.key}\n"
            texts += [head + as_text(one) for one in shown]
    if texts:
        settings.console.line("\n\n".join(texts))
    return code


def _left(settings: Settings, choice: Choice, key: BranchKey, error: StagecraftError) -> ExitCode:
    """Say why a branch was left as it is and go on; where it is the only one, that ends the command."""
    if choice.named:
        raise error
    settings.console.problem(f"{key}:")
    settings.console.error(error)
    return error.exit_code


def _report(settings: Settings, outcome: Outcome) -> ExitCode:
    from cli.verdicts import exit_code, show_failure

    parts = [outcome.environment + ":", outcome.release or "", _WORDS[outcome.status], outcome.detail]
    settings.console.line(" ".join(part for part in parts if part))
    if outcome.failure is not None:
        show_failure(settings.console, outcome.failure)
    return exit_code(outcome.failure)


_WORDS = {
    "in-sync": "in sync",
    "completed": "completed",
    "superseded": "was superseded",
    "deferred": "deferred",
    "awaiting": "awaiting",
    "render-failed": "the commit could not be rendered; nothing was touched",
    "failed": "failed",
    "orphaned": "orphaned",
    "destroyed": "destroyed",
    "rolled_back": "failed and was rolled back: the former version runs",
}
