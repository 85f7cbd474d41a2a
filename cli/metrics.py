"""`stagecraft metrics`: how changes get to an environment, by week."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from projections.views.delivery import Delivery
    from projections.views.delivery_figures import Figures, Spread, Week

_MOST_WEEKS = 520
_PLOT_ROWS = 12
_HEADS = (
    "WEEK",
    "DEPLOYMENTS",
    "CHANGES",
    "FAILED",
    "FAILURE RATE",
    "LEAD TIME MEDIAN",
    "P90",
    "RESTORE MEDIAN",
    "P90",
    "NOT RESTORED",
)
_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


@with_settings("env")
def metrics(
    settings: Settings,
    *,
    weeks: Annotated[
        int,
        typer.Option("--weeks", metavar="N", min=1, max=_MOST_WEEKS, help="So many, this one included."),
    ] = 8,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show how changes get to an environment, by week: deployments, lead time, failures, time to restore.

    Weeks are ISO weeks in UTC; the last one is not over. A week without a change is shown as one.
    docs/how-to/metrics.md says what each figure counts.

    Exit codes: 0; 1 no such environment; 2 the log cannot be read.
    """
    from cli.reading import History
    from controller.bootstrap import open_log
    from projections.views.delivery import DELIVERY, deliveries
    from projections.views.delivery_figures import first_moment, report

    now = datetime.now(UTC)
    with open_log(settings.home) as log:
        history = History(settings, log)
        target = history.target(settings.required_environment())
        since = first_moment(now, weeks=weeks)

        def query(tables: sqlite3.Connection) -> list[Delivery]:
            return deliveries(tables, target.project, target.name, since=since)

        nothing: list[Delivery] = []
        found = report(history.ask([DELIVERY], query, nothing=nothing), now=now, weeks=weeks)
    if json:
        settings.console.json(
            {
                "project": target.project,
                "environment": target.name,
                "weeks": [week.as_json() for week in found.weeks],
                "total": found.total.as_json(),
            }
        )
        return
    settings.console.line(f"{target}, ISO weeks in UTC, the last one not over")
    rows = [_row(week.name, week.figures) for week in found.weeks]
    settings.console.table(_HEADS, [*rows, _row("all", found.total)])
    if sys.stdout.isatty() and found.total.changes:
        settings.console.line(plot(found.weeks))


def _row(name: str, figures: Figures) -> tuple[str, ...]:
    """Where there is no figure stands a dash."""
    rate = figures.failure_rate
    return (
        name,
        str(figures.deployments),
        str(figures.changes),
        str(figures.failures),
        "-" if rate is None else f"{rate:.0%}",
        *_spread(figures.lead),
        *_spread(figures.restore),
        str(figures.unrestored),
    )


def _spread(spread: Spread) -> tuple[str, str]:
    return length(spread.median), length(spread.p90)


def length(seconds: float | None) -> str:
    """`45 s`, `12 min 30 s`, `3 h 5 min`, `2 d 4 h`: the two largest units; `-` for None."""
    if seconds is None:
        return "-"
    left = round(seconds)
    for size, unit, below, smaller in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if left >= size:
            rest = left % size // below
            return f"{left // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{left} s"


def plot(weeks: Sequence[Week]) -> str:
    """Bars of the changes of each week, those that failed on top, for a terminal."""
    figure: Any = import_module("plotext").figure  # it has no annotations
    figure.clear()
    good = [week.figures.changes - week.figures.failures for week in weeks]
    failed = [week.figures.failures for week in weeks]
    most = max(one.figures.changes for one in weeks)
    bars = figure.bar([week.name[-3:] for week in weeks], [good, failed], stacked=True, marker=["█", "x"])
    figure.draw(bars)
    figure.title("changes a week: █ good, x failed")
    figure.ruler("y").ticks(list(range(0, most + 1, max(1, most // 4))))
    figure.theme("colorless")
    figure.plot_size(min(100, 12 + 8 * len(weeks)), _PLOT_ROWS)
    return str(figure.build())
