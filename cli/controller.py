"""`stagecraft controller`: watch a branch and keep environments as it says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.settings import Settings, group, with_settings
from events.kernel.errors import ExitCode, UserError, error_code

if TYPE_CHECKING:
    from controller.look import Outcome

ONLY_ONCE = error_code(
    "once-required", "Running for ever is not built yet; look once, for example from a timer."
)

app = group("Watch a branch and keep environments as it says.")


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
) -> int:
    """Look at the branch, deploy what was merged, heal what differs.

    With --once: one look at every environment, or at those named with --env. A look that finds nothing new
    changes nothing. A merge that a hold defers, which the log says already, is no error.

    Exit codes: 0 all is as it should be or deferred; 1 a commit or its services are at fault; 2 the
    repository, an engine, a registry or a host is.
    """
    if not once:
        raise UserError(ONLY_ONCE, "controller run needs --once", next="run it with --once from a timer")
    if settings.dry_run:
        return _show_only(settings, repo, branch)
    from controller.bootstrap import open_context
    from controller.look import look
    from controller.repositories import watched

    with open_context(settings.home, progress=settings.console.progress) as context:
        repository = watched(settings.home, repo, cwd=settings.cwd)
        outcomes = asyncio.run(
            look(
                context,
                repository,
                branch=branch,
                environments=settings.environments,
                config_path=settings.config,
            )
        )
    codes = [_report(settings, outcome) for outcome in outcomes]
    return max(codes, default=ExitCode.OK)


def _show_only(settings: Settings, repo: str, branch: str) -> int:
    from cli.plan import as_text
    from controller.branch_preview import preview_branch

    shown = asyncio.run(
        preview_branch(
            settings.home,
            repo,
            branch=branch,
            environments=settings.environments,
            config_path=settings.config,
            cwd=settings.cwd,
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
    "render-failed": "the commit could not be rendered; nothing was touched",
    "failed": "failed",
    "rolled_back": "failed and was rolled back: the former version runs",
}
