"""`stagecraft plan`: what a deploy of this commit would do; nothing is changed by asking."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.policy import ControllerOption
from cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from cli.enclosing import Enclosing
    from controller.preview import PlanPhase, Preview
    from gitops.config.policy import PolicySection

CHANGES_EXIT_CODE = 10


class Format(StrEnum):
    """How a plan is printed."""

    text = "text"
    json = "json"


@with_settings("env")
def plan(
    settings: Settings,
    *,
    output: Annotated[Format, typer.Option("--format", help="For people or for programs.")] = Format.text,
    rev: Annotated[str, typer.Option("--rev", metavar="REV", help="The commit to plan.")] = "HEAD",
    worktree: Annotated[
        bool, typer.Option("--worktree", help="Plan the work tree as it stands, committed or not.")
    ] = False,
    services: Annotated[
        str, typer.Option("--services", metavar="A,B", help="Only the phases of these services.")
    ] = "",
    version: Annotated[
        str | None,
        typer.Option("--version", metavar="TEXT", help="Name it; the full commit id unless given."),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the engine and registries what images that are new here mean.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 10 when a deploy would change something.")
    ] = False,
    controller: ControllerOption = None,
) -> int:
    """Show which containers a deploy would create, replace and remove, and why.

    Compares with what the log says is deployed. Runs nothing but git and `compose config`, and asks no
    engine and no registry without --live. The same commit and log give the same bytes.

    Exit codes: 0; 10 with --exit-code when there are changes; 1 the commit, a name or a flag is wrong.
    """
    from cli.enclosing import enclosing, environment_of, warn_when_dirty
    from cli.policy import operator_settings

    found = enclosing(settings, rev=rev, worktree=worktree)
    if not worktree:
        warn_when_dirty(settings, found)
    _project, name = environment_of(settings, found)
    only = sorted({one.strip() for one in services.split(",") if one.strip()})
    shown = asyncio.run(
        previewed(
            settings,
            found,
            environment=name,
            version=version,
            policy=operator_settings(settings, controller).policy,
            only=only,
            live=live,
            worktree=worktree,
        )
    )
    if output is Format.json:
        settings.console.json(shown.as_json())
    else:
        settings.console.line(as_text(shown))
    return CHANGES_EXIT_CODE if exit_code and shown.has_changes else 0


async def previewed(
    settings: Settings,
    found: Enclosing,
    *,
    environment: str,
    version: str | None,
    policy: Mapping[str, PolicySection],
    given: Collection[str] = (),
    only: Iterable[str] = (),
    live: bool = False,
    worktree: bool = False,
) -> Preview:
    """The plan of a commit against what the home's log says is deployed; `given` is allowed beside policy."""
    from controller.bootstrap import open_catalogue, open_log
    from controller.building import pins_of_builds
    from controller.decide.state import fold
    from controller.host_names import host_names
    from controller.permitting import Permits
    from controller.preview import preview
    from controller.providers.table import PROVIDERS
    from controller.recorded import recorded_manifest
    from events.streams import environment_stream
    from gitops.config.policy import allowed_by
    from gitops.manifest import draft, unpinned
    from gitops.pins import resolve_pins

    revision = found.commit.revision
    made = await draft(
        found.tree,
        config_path=found.config_path,
        environment=environment,
        version="unknown" if worktree else revision,
        given_version=version,
        providers=PROVIDERS,
    )
    with open_log(settings.home) as log:
        stored = [] if log is None else log.read_stream(environment_stream(made.project, environment))
    state = fold(stored)
    pins = state.pins
    if live:
        with open_catalogue(settings.home) as catalogue:
            built = await pins_of_builds(catalogue, made.builds.values())
            refs = {ref: how for ref, how in unpinned(made, built).items() if ref not in made.built_refs}
            resolved = await resolve_pins(refs, sticky=state.pins, catalogue=catalogue)
            pins = {**built, **pins, **resolved.or_raise()}
    deployed = recorded_manifest(settings.home, state.deployed_digest)
    return preview(
        made,
        pins=pins,
        deployed=deployed,
        revision=revision,
        only=tuple(only),
        permits=Permits(
            allowed=allowed_by(policy, project=made.project, environment=environment) | set(given),
            state=state,
            own=(str(settings.home.root),),
        ),
        host_variables=host_names(made),
    )


def as_text(shown: Preview) -> str:
    """The plan for people; no line ends in a space and nothing in it depends on time or place."""
    lines = [
        f"Environment: {shown.environment}",
        f"Version: {shown.version}",
        f"Services: {', '.join(shown.services) or '(all)'}",
        f"Hosts: {', '.join(shown.hosts)}",
        "Phases:",
    ]
    for number, phase in enumerate(shown.phases, start=1):
        lines.extend(_phase_lines(number, phase))
    lines.append("Changes:")
    lines.extend(_change_lines(shown))
    if shown.unpinned:
        lines.append(f"Images resolved at deploy: {', '.join(shown.unpinned)}")
    for path, names in shown.host_variables.items():
        known = "cannot be read now" if names is None else ", ".join(names) or "(none)"
        lines.append(f"Variables from {path} on local: {known}")
    if shown.refused:
        lines.append("Refused, until controller.yml allows it:")
        lines.extend(f"  {refusal}" for refusal in shown.refused)
    if shown.findings:
        lines.append("Findings:")
        lines.extend(f"  {finding}" for finding in shown.findings)
    return "\n".join(lines)


def _phase_lines(number: int, phase: PlanPhase) -> list[str]:
    return [
        f"  {number}. {phase.id}",
        f"     kind: {phase.kind}",
        f"     services: {', '.join(phase.services)}",
        f"     hosts: {', '.join(phase.hosts)}",
        f"     description: {phase.description}",
        f"     depends_on: {', '.join(phase.depends_on) or '(none)'}",
    ]


def _change_lines(shown: Preview) -> Iterable[str]:
    from controller.preview import SIGNS

    touched = [one for one in shown.changes if one.action != "keep"]
    for one in touched:
        yield f"  {SIGNS[one.action]} {one.host}/{one.service}: {one.reason}"
    kept = len(shown.changes) - len(touched)
    if not touched:
        yield "  nothing changes"
    elif kept:
        yield f"  = {kept} unchanged"
