"""`stagecraft config`: what the project file and the Compose files come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.policy import ControllerOption
from cli.settings import Settings, group, with_settings

if TYPE_CHECKING:
    from gitops.findings import Finding

app = group("See what stagecraft.yml and the Compose files come to.")


@app.command("render")
@with_settings("env")
def render(
    settings: Settings,
    *,
    host: Annotated[
        str | None, typer.Option("--host", metavar="NAME", help="The host; needed when there are several.")
    ] = None,
    no_pin: Annotated[bool, typer.Option("--no-pin", help="Leave image references as written.")] = False,
    rev: Annotated[str, typer.Option("--rev", metavar="REV", help="The commit to render.")] = "HEAD",
    worktree: Annotated[
        bool, typer.Option("--worktree", help="Render the work tree as it stands, committed or not.")
    ] = False,
    controller: ControllerOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON; YAML otherwise.")] = False,
) -> None:
    """Print the Compose document that one host gets.

    Images are shown as this environment pinned them; ones that are new here are pinned by asking the engine
    and its registries, unless --no-pin is given. Findings go to standard error.

    Exit codes: 0; 1 the commit or a name is wrong; 2 an image cannot be resolved.
    """
    import asyncio

    from cli.enclosing import enclosing, environment_of
    from cli.policy import operator_settings
    from controller.rendered_document import document_of

    found = enclosing(settings, rev=rev, worktree=worktree)
    _project, name = environment_of(settings, found)
    rendered = asyncio.run(
        document_of(
            settings.home,
            found.tree,
            config_path=found.config_path,
            environment=name,
            revision=found.commit.revision,
            host=host,
            pinned=not no_pin,
            operator=operator_settings(settings, controller),
        )
    )
    for finding in rendered.findings:
        settings.console.progress(finding)
    if as_json:
        settings.console.json(rendered.document)
    else:
        settings.console.line(_yaml(rendered.document))


@app.command("check")
@with_settings("env")
def check(
    settings: Settings,
    *,
    rev: Annotated[
        str | None,
        typer.Option("--rev", metavar="REV", help="A commit; the files as they lie there unless given."),
    ] = None,
    controller: Annotated[
        str | None, typer.Option("--controller", metavar="FILE", help="Check this controller.yml instead.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list.")] = False,
) -> int:
    """Show all that is wrong or unused in stagecraft.yml and its descriptors.

    Runs nothing and asks nobody; names of services are compared with the Compose file as it is written. With
    --env, only that environment and the project.

    Exit codes: 0, also with warnings and notes; 1 with errors.
    """
    from cli.config_text import finding_lines
    from gitops.findings import Severity

    findings = _findings(settings, rev=rev, controller=controller)
    if as_json:
        settings.console.json([one.as_json() for one in findings])
    else:
        settings.console.line("\n".join(finding_lines(findings)))
    return int(any(one.severity is Severity.ERROR for one in findings))


@app.command("show")
@with_settings("env")
def show(
    settings: Settings,
    *,
    as_effective: Annotated[
        bool, typer.Option("--effective", help="With defaults; else only what is written.")
    ] = False,
    origin: Annotated[bool, typer.Option("--origin", help="Say of each value where it comes from.")] = False,
    rev: Annotated[
        str | None,
        typer.Option("--rev", metavar="REV", help="A commit; the files as they lie there unless given."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON; YAML otherwise.")] = False,
) -> None:
    """Print the configuration of one environment: the project, what stands over it, and defaults.

    The output is a stagecraft.yml again. Values under names such as `password` are hidden.

    Exit codes: 0; 1 a file or a name is wrong.
    """
    from cli.config_text import as_document, commented_yaml
    from cli.enclosing import configured, environment_in
    from gitops.config.load import load
    from gitops.effective import effective

    tree, path = configured(settings, rev=rev)
    _project, name = environment_in(settings, tree, path)
    found = effective(load(tree, path, name), defaults=as_effective)
    if as_json:
        settings.console.json(as_document(found, origins=origin))
    else:
        settings.console.line(commented_yaml(found) if origin else _yaml(found.values, sort=False))


@app.command("schema")
@with_settings()
def schema(
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME", help="stagecraft, descriptor or controller.")],
) -> None:
    """Print the JSON Schema of a configuration file, for editors.

    Exit codes: 0; 1 there is no schema of that name.
    """
    from gitops.config.jsonschemas import json_schema

    settings.console.json(json_schema(name))


def _findings(settings: Settings, *, rev: str | None, controller: str | None) -> list[Finding]:
    from cli.enclosing import configured
    from controller.providers.table import PROVIDERS
    from gitops.check import check_controller, check_project

    if controller is not None:
        return check_controller(settings.cwd / controller)
    tree, path = configured(settings, rev=rev)
    named = [name.rpartition("/")[2] for name in settings.environments]
    return check_project(tree, path, providers=PROVIDERS, environments=named)


def _yaml(document: object, *, sort: bool = True) -> str:
    import yaml

    return yaml.safe_dump(document, sort_keys=sort, allow_unicode=True).rstrip()
