"""`stagecraft rollback`: run what ran before, from the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.policy import AllowOption, ControllerOption
from cli.scope import HostOption, RoleOption
from cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from controller.context import Context
    from controller.decide.state import Release
    from controller.offering import Offer
    from controller.targets import Target

_SHORT = 12  # digits of a commit
_BY_SIGNAL = 128  # and more: Ctrl-C or SIGTERM ended it


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
    push: Annotated[
        bool,
        typer.Option("--push", help="Push a branch that reverts it in Git too, for a merge request."),
    ] = False,
    allow: AllowOption = None,
    controller: ControllerOption = None,
    host: HostOption = None,
    role: RoleOption = None,
) -> int:
    """Go back to a recorded Release, without Git, a registry or a build, and hold the environment there.

    Without a target it lists the recent good Releases, with the command that takes each, and ends with 1.

    With --host or --role only these hosts go back, and the environment is held until all have it.

    Git does not bring the bad version back: a merge passes again once it fixes what was bad. Going back
    twice goes further back. Databases are not migrated down.

    With --push, called in a clone of the repository, a branch `stagecraft/revert-RELEASE` with the revert
    goes to the Git host with your own Git: never forced, never the watched branch. The rollback stands
    whatever becomes of it.

    Exit codes: 0 it runs; 1 no such target, its services do not come up, or no revert can be made of it; 2
    the engine or the Git host is at fault, or another process took the environment over; 130 after Ctrl-C,
    143 after SIGTERM, as in `deploy`.
    """
    from cli.actors import person
    from cli.interrupts import run_to_verdict
    from cli.policy import permissions_of, settings_at_hand
    from controller.bootstrap import open_context, open_log
    from controller.decide.rollback import RollbackTarget
    from controller.decide.scope import Scope
    from controller.rolling_back import preview_rollback
    from controller.rolling_back import rollback as run
    from controller.targets import find_environment

    if not to_previous and to_release is None and to_version is None:
        _offer(settings)
    wanted = RollbackTarget(to_previous=to_previous, to_release=to_release, to_version=to_version)
    named = settings.required_environment()
    operator, given = settings_at_hand(settings, controller), permissions_of(allow)
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
        work = run(
            context,
            target,
            to=wanted,
            reason=reason,
            actor=person(context.actors),
            allow=given,
            scope=Scope(hosts=tuple(host or ()), roles=tuple(role or ())),
        )
        code = run_to_verdict(settings.console, context, target, work)
        return _push(settings, context, target, reason=reason, code=code) if push else code


def _push(settings: Settings, context: Context, target: Target, *, reason: str, code: int) -> int:
    """Push the revert of a rollback that was decided; its error never hides that of the rollback."""
    import asyncio

    from controller.revert_branch import plan_revert
    from events.kernel.errors import StagecraftError, UserError
    from gitops.source.git import Repository
    from gitops.source.revert_branch import REVERT_NOT_POSSIBLE, push_revert

    if code >= _BY_SIGNAL:
        return code
    try:
        plan = plan_revert(context.log, target, reason=reason)
        repository = Repository.enclosing(settings.cwd)
        if repository is None or repository.root is None:
            raise UserError(
                REVERT_NOT_POSSIBLE,
                f"{settings.cwd} is in no clone of the repository, so there is nothing to push from",
                next=f"git revert {plan.bad[:12]} in your clone",
            )
        settings.console.progress(f"{target}: pushing {plan.name}")
        made = asyncio.run(push_revert(repository.root, plan))
    except StagecraftError as error:
        settings.console.error(error)
        settings.console.progress(f"{target}: the rollback stands; no revert was pushed")
        return code or error.exit_code
    settings.console.line(f"pushed {made.name} to {made.remote} at {made.revision[:_SHORT]}")
    settings.console.line("\n".join([*made.links, made.command]))
    return code


def _offer(settings: Settings) -> None:
    """List what could be gone back to, for a person who named an environment and no target.

    That a target is missing is said in any case; an environment that nobody knows has nothing to list.
    """
    from controller.bootstrap import open_log
    from controller.offering import offers
    from controller.targets import known_targets

    if settings.environment is None:
        return
    with open_log(settings.home) as log:
        named = [one for one in known_targets(log) if settings.environment in (one.name, str(one))]
        if log is None or len(named) != 1:
            return
        target = named[0]
        found = offers(log, target)
    if not found:
        settings.console.line(f"{target} has no earlier good Release")
        return
    settings.console.line(f"{target} can go back to, newest first:")
    settings.console.table(
        ("RELEASE ID", "VERSION", "COMPLETED", "COMMIT", "COMMAND"),
        [_offered(one, target) for one in found],
    )


def _offered(offer: Offer, target: Target) -> tuple[str, ...]:
    release = offer.release
    completed = "" if release.ended is None else f"{release.ended:%Y-%m-%d %H:%M:%S}"
    commit = "" if release.revision is None else release.revision[:_SHORT]
    what = f"{commit} {offer.subject}".strip() or release.kind
    command = f"stagecraft rollback --env {target} --to-release {release.id}"
    return release.id, _shortened(release), completed, what, command


def _shortened(release: Release) -> str:
    """The version; one that is the commit's id by its first digits."""
    return release.version[:_SHORT] if release.version == release.revision else release.version
