"""`stagecraft releases export`: the history of Releases as a state file for tools that read one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import written_file
from cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from projections.views.state_file import StateFile

STATE_FILE_VARIABLE = "STAGECRAFT_STATE_FILE"


@with_settings("env", "dry_run")
def export_command(
    settings: Settings,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help=f"Write this file. [{STATE_FILE_VARIABLE}]"),
    ] = None,
) -> None:
    """Print all Releases, or those of --env, as one JSON document, oldest first.

    For tools that keep such a file themselves. With a file named, by --output or by the variable, it is
    written there: whole or not at all, and what was there before is replaced.

    Exit codes: 0 also when there is none; 1 no such environment; 2 the log cannot be read or the file
    cannot be written.
    """
    content = _state_file(settings).encode()
    named = output or settings.environ.get(STATE_FILE_VARIABLE)
    if not named:
        settings.console.content(content)
        return
    path = settings.cwd / named
    if settings.dry_run:
        settings.console.line(f"{path} would be written")
        return
    with written_file(path) as file:
        file.write(content)
    settings.console.progress(f"written: {path}")


def _state_file(settings: Settings) -> StateFile:
    from cli.reading import History
    from controller.bootstrap import open_log
    from projections.views.release_fold import RELEASES
    from projections.views.state_file import StateFile, state_file

    with open_log(settings.home) as log:
        history = History(settings, log)
        concerned = history.environments()
        return history.ask(
            [RELEASES],
            lambda tables: state_file(tables, environments=concerned),
            nothing=StateFile(releases=()),
        )
