"""`stagecraft adopt`: take over a Compose project that runs already, without restarting anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.policy import AllowOption, ControllerOption
from cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from controller.adopting import Adoption
    from controller.targets import Target
    from projections.converge.adopt import Compared


@with_settings("env", "dry_run")
def adopt(
    settings: Settings,
    *,
    rev: Annotated[str, typer.Option("--rev", metavar="REV", help="The commit that describes it.")] = "HEAD",
    accept_differences: Annotated[
        bool,
        typer.Option(
            "--accept-differences",
            help="Take services that differ as they are; the next deploy replaces them.",
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    allow: AllowOption = None,
    controller: ControllerOption = None,
) -> None:
    """Take over a Compose project that runs already, without restarting anything.

    Each container is compared, field by field, with what the commit would make. What differs is shown,
    variables and labels by name only; nothing is taken over then unless --accept-differences says so. From
    then on the environment is healed, deployed and rolled back as any other.

    The project's name on the engine must be the environment's: `<project>-<environment>`, or what
    `compose_project:` says.

    Exit codes: 0 it is taken over, or was; 1 something differs, nothing runs, or the environment has a
    Release already; 2 the engine or a registry is at fault, or another process works on the environment.
    """
    import asyncio

    from cli.actors import person
    from cli.enclosing import enclosing, environment_of, warn_when_dirty
    from cli.policy import permissions_of, settings_at_hand
    from controller.adopting import adopt as run
    from controller.adopting import preview_adoption
    from controller.bootstrap import open_context
    from controller.candidates import Subject
    from controller.targets import Target

    found = enclosing(settings, rev=rev)
    warn_when_dirty(settings, found)
    project, name = environment_of(settings, found)
    operator, given = settings_at_hand(settings, controller), permissions_of(allow)
    target = Target(project=project, name=name)

    def show(compared: Sequence[Compared]) -> None:
        if not json:
            settings.console.line("\n".join(_lines(target, compared)))

    with open_context(settings.home, progress=settings.console.progress, settings=operator) as context:
        subject = Subject(
            tree=found.tree,
            revision=found.commit.revision,
            config_path=found.config_path,
            project=project,
            environment=name,
        )
        if settings.dry_run:
            done = asyncio.run(preview_adoption(context, subject))
            show(done.found)
        else:
            actor, accept = person(context.actors), accept_differences
            work = run(context, subject, actor=actor, accept=accept, allow=given, told=show)
            done = asyncio.run(work)
    if json:
        settings.console.json(_as_json(target, done, dry_run=settings.dry_run))
    elif not settings.dry_run:
        settings.console.line(
            f"{target} was taken over before"
            if done.release is None
            else f"{target}: {done.release} adopted it"
        )


def _lines(target: Target, compared: Sequence[Compared]) -> Iterable[str]:
    yield f"{target}: what runs, against what the commit would make:"
    for one in compared:
        yield f"  {'=' if one.same else '~'} {one.host}/{one.service}: {_words(one)}"
        yield from (f"      {difference}" for difference in one.differences)


def _words(one: Compared) -> str:
    ids = " ".join(container[:12] for container in one.containers) or "no container"
    if one.same:
        return f"{'has run' if one.job else 'the same'}  {ids}"
    return f"differs, so the next deploy {'runs' if one.job else 'replaces'} it  {ids}"


def _as_json(target: Target, done: Adoption, *, dry_run: bool) -> dict[str, Any]:
    return {
        "environment": str(target),
        "release": done.release,
        "dry_run": dry_run,
        "services": [
            {
                "host": one.host,
                "service": one.service,
                "containers": list(one.containers),
                "same": one.same,
                "differences": [
                    {"field": each.field, "wanted": each.wanted, "found": each.found}
                    for each in one.differences
                ],
            }
            for one in done.found
        ],
    }
