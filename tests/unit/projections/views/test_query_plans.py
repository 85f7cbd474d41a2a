"""What commands ask of views is found by an index, however long the log is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from projections.views.environments import find_environment
from projections.views.every import VIEWS
from projections.views.releases import find_release, list_releases
from projections.views.why.containers import releases_of_container, releases_of_service
from projections.views.why.reading import why
from tests.unit.projections.views.history import folded
from tests.unit.projections.views.why.chronicle import Chronicle, commit

PLACE = ("shop", "prod")
Ask = Callable[[sqlite3.Connection], object]
_NEWEST = "USING INDEX releases_by_position"  # read from its end


def _plans(tables: sqlite3.Connection, ask: Ask) -> list[str]:
    """How SQLite finds what `ask` asks for: a line for each table, in each statement."""
    asked: list[str] = []
    tables.set_trace_callback(asked.append)
    ask(tables)
    tables.set_trace_callback(None)
    assert asked
    return [
        f"{row['detail']}: {statement}"
        for statement in asked
        for row in tables.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]


_QUERIES: dict[str, Ask] = {
    "environment": lambda tables: find_environment(tables, *PLACE),
    "newest": lambda tables: list_releases(tables, limit=5),
    "newest of one": lambda tables: list_releases(tables, environments=[PLACE], limit=5),
    "release": lambda tables: find_release(tables, "rel-1"),
    "service": lambda tables: releases_of_service(tables, "web", PLACE),
    "container": lambda tables: releases_of_container(tables, "c" * 64, "web", PLACE),
}


@pytest.mark.parametrize("name", _QUERIES)
def test_rows_are_searched_and_never_scanned(tmp_path: Path, name: str) -> None:
    days = Chronicle(tmp_path)
    days.deploys("one", web="1")
    with folded(days.log, tmp_path / "views.db", *VIEWS) as tables:
        plans = _plans(tables, _QUERIES[name])
    assert not [plan for plan in plans if plan.startswith("SCAN") and _NEWEST not in plan]
    assert not [plan for plan in plans if "TEMP B-TREE" in plan and "FROM releases" in plan]


@pytest.mark.parametrize("word", ["web", commit("one")])
def test_an_answer_to_why_scans_no_table_that_grows_with_the_log(tmp_path: Path, word: str) -> None:
    days = Chronicle(tmp_path)
    days.deploys("one", web="1")
    with folded(days.log, tmp_path / "views.db", *VIEWS) as tables:
        plans = _plans(tables, lambda asked: why(days.log, asked, word, environment=PLACE))
    assert not [plan for plan in plans if plan.startswith("SCAN")]
