"""`stagecraft version`: which build this is."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.settings import Settings, with_settings


@with_settings()
def version(
    settings: Settings,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the version.

    Exit codes: 0 always.
    """
    from importlib.metadata import version as installed

    number = installed("stagecraft")
    if json:
        settings.console.json({"version": number})
    else:
        settings.console.line(f"stagecraft {number}")
