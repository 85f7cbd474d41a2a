"""`stagecraft views`: what is folded from the log, made anew and compared with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.settings import Settings, group, with_settings
from events.kernel.errors import ExitCode

if TYPE_CHECKING:
    from projections.compare import Comparison, Difference

app = group("The views: what commands read, folded from the log.")


@app.command("rebuild")
@with_settings()
def rebuild_command(settings: Settings) -> None:
    """Make all views anew from the log, beside the ones in use, and put them in their place in one step.

    Commands answer from the ones in use meanwhile. A rebuild that is ended early changes nothing.

    Exit codes: 0; 2 the log cannot be read, the views cannot be written, or another process does the same.
    """
    from controller.bootstrap import open_log
    from projections.rebuild import rebuild
    from projections.views.every import VIEWS

    with open_log(settings.home) as log:
        if log is None:
            settings.console.line("Nothing was recorded in this home yet")
            return
        with settings.console.advancing("views are made anew", unit="events") as told:
            position = rebuild(log, settings.home.views_db, VIEWS, told=told)
    names = ", ".join(view.name for view in VIEWS)
    settings.console.line(f"made anew from {position} events: {names}")


@app.command("verify")
@with_settings()
def verify_command(
    settings: Settings,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Fold the log aside and compare every row of the views with it. Changes nothing.

    Exit codes: 0 all rows are what the log makes them; 2 one is not, and the first is named; or the log
    cannot be read.
    """
    from controller.bootstrap import open_log
    from projections.compare import Comparison, compare
    from projections.views.every import VIEWS

    with open_log(settings.home) as log:
        if log is None:
            found = Comparison(compared=(), skipped=tuple(view.name for view in VIEWS), difference=None)
        else:
            with settings.console.advancing("the log is folded aside", unit="events") as told:
                found = compare(log, settings.home.views_db, VIEWS, told=told)
    if json:
        settings.console.json(found.as_json())
    else:
        settings.console.line("\n".join(comparison_lines(found)))
    return ExitCode.OUTSIDE if found.difference is not None else ExitCode.OK


def comparison_lines(found: Comparison) -> list[str]:
    """What came of comparing, for people."""
    lines = [f"{one.name}: as the log makes it, up to position {one.position}" for one in found.compared]
    lines += [
        f"{name}: nothing to compare, the next command that reads it makes it" for name in found.skipped
    ]
    return [*lines, *([] if found.difference is None else _difference_lines(found.difference))]


def _difference_lines(difference: Difference) -> list[str]:
    lines = [f"differs: {difference.detail}"]
    if difference.table is not None:
        lines += [f"  stored: {difference.live or 'nothing'}", f"  folded: {difference.fold or 'nothing'}"]
    return [*lines, "  next: stagecraft views rebuild"]
