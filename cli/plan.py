"""`stagecraft plan`: what a deploy of this commit would do; nothing is changed by asking."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.policy import ControllerOption
from cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from cli.enclosing import Enclosing
    from controller.plan_filters import Filters
    from controller.preview import Preview
    from events.manifest import ImagePin
    from gitops.config.controller import ControllerFile
    from gitops.manifest import Draft

CHANGES_EXIT_CODE = 10


class Format(StrEnum):
    """How a plan is printed."""

    text = "text"
    json = "json"
    markdown = "markdown"


@with_settings("env")
def plan(  # one option each
    settings: Settings,
    *,
    output: Annotated[
        Format | None, typer.Option("--format", help="For people, programs or a comment; text unless given.")
    ] = None,
    rev: Annotated[str, typer.Option("--rev", metavar="REV", help="The commit to plan.")] = "HEAD",
    worktree: Annotated[
        bool, typer.Option("--worktree", help="Plan the work tree as it stands, committed or not.")
    ] = False,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="REV", help="Compare with this commit, not with what is deployed."),
    ] = None,
    services: Annotated[
        str, typer.Option("--services", metavar="A,B", help="Only these services and what they need.")
    ] = "",
    roles: Annotated[
        str, typer.Option("--roles", metavar="A,B", help="Only services with these roles and what they need.")
    ] = "",
    hosts: Annotated[
        str, typer.Option("--hosts", metavar="A,B", help="Only what happens on these hosts.")
    ] = "",
    phases: Annotated[
        str,
        typer.Option(
            "--phases", metavar="PREFIX", help="Only steps that begin like this, and what they need."
        ),
    ] = "",
    version: Annotated[
        str | None,
        typer.Option(
            "--version", metavar="TEXT", help="Name it; else what the descriptor says, or `unknown`."
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the engine and registries what images that are new here mean.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="A comment for a merge request; the same as --format markdown.")
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
    import asyncio

    from cli.enclosing import enclosing, environment_of, warn_when_dirty
    from cli.policy import operator_settings
    from controller.plan_filters import Filters

    form = _form(output, markdown=markdown)
    found = enclosing(settings, rev=rev, worktree=worktree)
    if not worktree:
        warn_when_dirty(settings, found)
    _project, name = environment_of(settings, found)
    base = None if against is None else enclosing(settings, rev=against)
    shown = asyncio.run(
        previewed(
            settings,
            found,
            environment=name,
            version=version,
            operator=operator_settings(settings, controller),
            filters=Filters(
                services=_names(services), roles=_names(roles), hosts=_names(hosts), phases=_names(phases)
            ),
            live=live,
            worktree=worktree,
            base=base,
        )
    )
    _print(settings, shown, form)
    return CHANGES_EXIT_CODE if exit_code and shown.has_changes else 0


def _form(output: Format | None, *, markdown: bool) -> Format:
    """The form that two flags name. Raises typer.BadParameter when they name two."""
    if not markdown:
        return output or Format.text
    if output not in (None, Format.markdown):
        raise typer.BadParameter(f"--markdown and --format {output} name two forms", param_hint="--markdown")
    return Format.markdown


def _names(listed: str) -> tuple[str, ...]:
    """The names in a list with commas, sorted, each once."""
    return tuple(sorted({one.strip() for one in listed.split(",") if one.strip()}))


def _print(settings: Settings, shown: Preview, form: Format) -> None:
    if form is Format.json:
        settings.console.json(shown.as_json())
    elif form is Format.markdown:
        from cli.plan_markdown import as_markdown

        settings.console.line(as_markdown(shown))
    else:
        from cli.plan_text import as_text

        settings.console.line(as_text(shown, verbose=settings.verbose))


async def previewed(
    settings: Settings,
    found: Enclosing,
    *,
    environment: str,
    version: str | None,
    operator: ControllerFile,
    given: Collection[str] = (),
    filters: Filters | None = None,
    live: bool = False,
    worktree: bool = False,
    base: Enclosing | None = None,
) -> Preview:
    """The plan of a commit against `base`, or what the home's log says is deployed.

    `given` is allowed beside the operator's policy.
    """
    from cli.enclosing import environment_of
    from controller.planning import Question, answer, state_of, taken_back_by
    from controller.preview import UNKNOWN_VERSION
    from controller.providers.table import PROVIDERS
    from controller.remotes import pinned_remotes
    from gitops.manifest import draft

    revision = found.commit.revision
    project, _name = environment_of(settings, found)
    against = None
    with pinned_remotes(settings.home, operator.policy, project=project, environment=environment) as remotes:
        made = await draft(
            found.tree,
            config_path=found.config_path,
            environment=environment,
            version=UNKNOWN_VERSION if worktree else revision,
            given_version=version,
            providers=PROVIDERS,
            remotes=remotes,
        )
        if base is not None:
            other = await draft(
                base.tree,
                config_path=base.config_path,
                environment=environment,
                version=base.commit.revision,
                given_version=version,
                providers=PROVIDERS,
                remotes=remotes,
            )
            against = (other, base.commit.revision)
    state = state_of(settings.home, made)
    drafts = [made] if against is None else [made, against[0]]
    pins = await _live_pins(settings, drafts, operator=operator, known=state.pins) if live else state.pins
    title = f"{project}/{environment}"
    takes_back = () if worktree else taken_back_by(settings.home, found.repository, revision, title=title)
    question = Question(
        made=made,
        revision=revision,
        state=state,
        pins=pins,
        policy=operator.policy,
        given=given,
        filters=filters,
        against=against,
        takes_back=takes_back,
    )
    return answer(settings.home, question)


async def _live_pins(
    settings: Settings, drafts: Iterable[Draft], *, operator: ControllerFile, known: Mapping[str, ImagePin]
) -> dict[str, ImagePin]:
    """What the images mean now, by the operator's registries; a pin that was given once stays."""
    from controller.bootstrap import open_catalogue
    from controller.building import pins_of_builds
    from gitops.manifest import unpinned
    from gitops.pins import resolve_pins

    pins = dict(known)
    with open_catalogue(settings.home, settings=operator) as catalogue:
        for made in drafts:
            built = await pins_of_builds(catalogue, made.builds.values())
            refs = {ref: how for ref, how in unpinned(made, built).items() if ref not in made.built_refs}
            resolved = await resolve_pins(refs, sticky=pins, catalogue=catalogue)
            pins = {**built, **pins, **resolved.or_raise()}
    return pins
