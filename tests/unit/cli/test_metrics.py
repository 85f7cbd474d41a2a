"""`metrics`: the figures as a table, as a plot and as JSON."""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from cli.metrics import length, plot
from projections.views.delivery_figures import Figures, Spread, Week
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History


def this_week(history: History) -> None:
    """One good change an hour ago, ten seconds after its commit was rendered, and one that failed."""
    history.clock.advance((datetime.now(UTC) - timedelta(hours=1) - history.clock.now()).total_seconds())
    history.rendered("a", revision="c1")
    history.clock.advance(9)
    release = history.requested("a", revision="c1")
    history.completed(release)
    failed = history.requested("b", revision="c2")
    history.failed(failed)


def test_weeks_are_a_table_in_which_an_empty_one_has_dashes(call: Call, history: History) -> None:
    this_week(history)
    lines = call("metrics", "--env", "prod", "--weeks", "3").out.splitlines()
    assert lines[0] == "shop/prod, ISO weeks in UTC, the last one not over"
    assert lines[1].split()[:4] == ["WEEK", "DEPLOYMENTS", "CHANGES", "FAILED"]
    assert lines[2].split()[1:] == ["0", "0", "0", "-", "-", "-", "-", "-", "0"]
    assert lines[-1].split() == ["all", "1", "2", "1", "50%", "11", "s", "11", "s", "-", "-", "1"]
    assert len(lines) == 6


def test_json_has_the_published_keys_and_never_a_number_that_is_none(call: Call, history: History) -> None:
    this_week(history)
    shown = json.loads(call("metrics", "--env", "prod", "--weeks", "3", "--json").out)
    assert list(shown) == ["project", "environment", "weeks", "total"]
    assert len(shown["weeks"]) == 3
    assert shown["weeks"][0]["change_failure_rate"] is None
    assert shown["total"]["lead_time_seconds"] == {"count": 1, "median": 11.0, "p90": 11.0}
    assert "NaN" not in json.dumps(shown)


def test_an_environment_that_is_not_there_is_an_error(call: Call, history: History) -> None:
    this_week(history)
    assert "environment-unknown" in call("metrics", "--env", "prd").err
    assert "environment-required" in call("metrics").err
    assert call("metrics", "--env", "prod", "--weeks", "0").code == 1


def test_without_a_terminal_nothing_is_plotted_and_the_plotter_not_imported(
    call: Call, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    this_week(history)
    monkeypatch.delitem(sys.modules, "plotext", raising=False)
    assert "█" not in call("metrics", "--env", "prod").out
    assert "plotext" not in sys.modules


def test_a_terminal_gets_a_plot(call: Call, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    this_week(history)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    said = call("metrics", "--env", "prod").out
    assert "changes a week" in said
    assert "x" in said[said.index("changes a week") :].replace("x failed", "")


def test_the_plot_is_as_wide_as_its_weeks_need() -> None:
    nothing = Spread(seconds=())
    weeks = [
        Week(
            begins=date(2026, 9, 28) + timedelta(weeks=number),
            figures=Figures(
                deployments=number,
                changes=number,
                failures=0,
                lead=nothing,
                restore=nothing,
                unrestored=0,
            ),
        )
        for number in range(1, 5)
    ]
    lines = plot(weeks).splitlines()
    assert len(lines) == 12
    assert "W41" in lines[-1]
    assert "W44" in lines[-1]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (750, "12 min 30 s"),
        (11_100, "3 h 5 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_a_length_of_time_has_its_two_largest_units(seconds: float | None, shown: str) -> None:
    assert length(seconds) == shown
