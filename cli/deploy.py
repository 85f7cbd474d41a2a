"""`stagecraft deploy`: run a commit of this repository in an environment."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.policy import AllowOption, ControllerOption
from cli.scope import HostOption, RoleOption
from cli.settings import Settings, with_settings


@with_settings("env", "dry_run")
def deploy(
    settings: Settings,
    *,
    rev: Annotated[str, typer.Option("--rev", metavar="REV", help="The commit to deploy.")] = "HEAD",
    version: Annotated[
        str | None,
        typer.Option("--version", metavar="TEXT", help="Name it; the full commit id unless given."),
    ] = None,
    allow: AllowOption = None,
    controller: ControllerOption = None,
    refresh_images: Annotated[
        bool, typer.Option("--refresh-images", help="Look tags up again: run what they mean now.")
    ] = False,
    confirm_prune: Annotated[
        int | None,
        typer.Option(
            "--confirm-prune", metavar="N", min=1, help="So many services leave with it, as `plan` says."
        ),
    ] = None,
    host: HostOption = None,
    role: RoleOption = None,
) -> int:
    """Deploy a commit of this repository and wait until it is up.

    What the Compose files may ask of a host is said in `controller.yml`; --allow adds to that for this very
    Manifest in this environment.

    Images that CI has not pushed yet are waited for. A tag means what it meant when this environment used it
    first, unless --refresh-images or the project's `images.refresh` has it looked up again.

    A commit that the branch does not show is held, so that the next look does not take it back: until
    `resume`, or until the branch shows it.

    More services than may leave at once run on, unless --confirm-prune names their number.

    With --host or --role only these hosts get it, a partial Release: the environment is held until a deploy
    of all hosts, or `resume`.

    When another process works on the environment, the Release is asked for at once and followed until it
    is up, whoever does the work. Whatever fails, the version before is left running or brought back.

    Exit codes: 0 it is up; 1 the commit, its services or a hold is at fault; 2 the engine, a registry or a
    host is, or another process took the environment over; 130 after Ctrl-C, 143 after SIGTERM: what was
    begun stays until a controller or the next deploy goes on with it. A second Ctrl-C ends at once.
    """
    from cli.actors import person
    from cli.enclosing import enclosing, environment_of, warn_when_dirty
    from cli.interrupts import run_to_verdict
    from cli.policy import operator_settings, permissions_of

    found = enclosing(settings, rev=rev)
    warn_when_dirty(settings, found)
    project, name = environment_of(settings, found)
    operator, given = operator_settings(settings, controller), permissions_of(allow)
    if settings.dry_run:
        import asyncio

        from cli.plan import previewed
        from cli.plan_text import as_text
        from controller.plan_filters import Filters

        preview = previewed(
            settings,
            found,
            environment=name,
            version=version,
            operator=operator,
            given=given,
            filters=Filters(hosts=tuple(host)) if host and not role else None,
        )
        shown = asyncio.run(preview)
        settings.console.line(as_text(shown))
        return 0
    from controller.bootstrap import open_context
    from controller.candidates import Subject
    from controller.decide.scope import Scope
    from controller.deploying import deploy as run
    from controller.targets import Target

    with open_context(settings.home, progress=settings.console.progress, settings=operator) as context:
        subject = Subject(
            tree=found.tree,
            revision=found.commit.revision,
            config_path=found.config_path,
            project=project,
            environment=name,
            version=version,
        )
        target = Target(project=project, name=name)
        work = run(
            context,
            subject,
            actor=person(context.actors),
            allow=given,
            refresh_images=refresh_images,
            at_head=found.at_head,
            confirm_prune=confirm_prune,
            scope=Scope(hosts=tuple(host or ()), roles=tuple(role or ())),
        )
        return run_to_verdict(settings.console, context, target, work)
