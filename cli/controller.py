"""`stagecraft controller`: watch a branch and keep environments as it says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.policy import ControllerOption
from cli.settings import Settings, group, with_settings
from cli.unit import unit
from events.kernel.errors import ExitCode

if TYPE_CHECKING:
    from controller.look import Outcome

app = group("Watch a branch and keep environments as it says.")
app.command("unit")(unit)


@app.command("run")
@with_settings("env", "dry_run")
def run(
    settings: Settings,
    *,
    repo: Annotated[str, typer.Option("--repo", metavar="URL|PATH", help="The repository to watch.")],
    branch: Annotated[str, typer.Option("--branch", metavar="NAME", help="The branch to watch.")] = "main",
    once: Annotated[
        bool, typer.Option("--once", help="Look once, bring everything to an end, and exit.")
    ] = False,
    grace: Annotated[
        float,
        typer.Option("--grace", metavar="SECONDS", help="When asked to end: time for the work under way."),
    ] = 60.0,
    controller: ControllerOption = None,
) -> int:
    """Watch the branch: deploy what is merged, heal what differs, at all its environments or those of --env.

    It runs until SIGTERM or Ctrl-C, then takes no new work, finishes what is under way and exits; a second
    signal ends it at once. What was not finished is taken up by the next start.

    With --once: one look. One that finds nothing new changes nothing. A merge that a hold defers, which the
    log says already, is no error.

    Exit codes: 0 it was asked to end, or with --once all is as it should be or deferred; 1 a commit, its
    services or the configuration is at fault; 2 the repository, an engine, a registry or a host is.
    """
    if settings.dry_run:
        return _show_only(settings, repo, branch=branch, controller_file=controller)
    if not once:
        from cli.daemon import run_for_ever

        return run_for_ever(settings, repo, branch=branch, grace_seconds=grace, controller_file=controller)
    from cli.policy import operator_settings
    from controller.bootstrap import open_context
    from controller.look import look
    from controller.repositories import WatchedBranch, watched

    operator = operator_settings(settings, controller)
    with open_context(settings.home, progress=settings.console.progress, settings=operator) as context:
        place = WatchedBranch(
            watched=watched(settings.home, repo, cwd=settings.cwd),
            branch=branch,
            environments=settings.environments,
        )
        outcomes = asyncio.run(look(context, place, config_path=settings.config))
    codes = [_report(settings, outcome) for outcome in outcomes]
    return max(codes, default=ExitCode.OK)


def _show_only(settings: Settings, repo: str, *, branch: str, controller_file: str | None) -> int:
    from cli.plan_text import as_text
    from cli.policy import operator_settings
    from controller.branch_preview import preview_branch

    shown = asyncio.run(
        preview_branch(
            settings.home,
            repo,
            branch=branch,
            environments=settings.environments,
            config_path=settings.config,
            cwd=settings.cwd,
            policy=operator_settings(settings, controller_file).policy,
        )
    )
    settings.console.line("\n\n".join(as_text(one) for one in shown))
    return ExitCode.OK


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
    "deferred": "deferred",
    "awaiting": "awaiting",
    "render-failed": "the commit could not be rendered; nothing was touched",
    "failed": "failed",
    "orphaned": "orphaned",
    "destroyed": "destroyed",
    "rolled_back": "failed and was rolled back: the former version runs",
}
