"""`stagecraft config`: what the project file and the Compose files come to."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.settings import Settings, group, with_settings

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
    as_json: Annotated[bool, typer.Option("--json", help="As JSON; YAML otherwise.")] = False,
) -> None:
    """Print the Compose document that one host gets.

    Images are shown as this environment pinned them; ones that are new here are pinned by asking the engine
    and its registries, unless --no-pin is given. Findings go to standard error.

    Exit codes: 0; 1 the commit or a name is wrong; 2 an image cannot be resolved.
    """
    from cli.enclosing import enclosing, environment_of
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
        )
    )
    for finding in rendered.findings:
        settings.console.progress(finding)
    if as_json:
        settings.console.json(rendered.document)
    else:
        settings.console.line(_yaml(rendered.document))


def _yaml(document: object) -> str:
    import yaml

    return yaml.safe_dump(document, sort_keys=True, allow_unicode=True).rstrip()
