"""`events list`: everything, oldest first, one object a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli import events as events_module
from cli.events import read_all
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History


def positions(out: str) -> list[int]:
    return [json.loads(line)["position"] for line in out.splitlines()]


def test_a_home_without_a_log_has_no_events_and_gets_no_file(call: Call, home: Path) -> None:
    assert call("events", "list").out == "No events found\n"
    assert call("events", "list", "--json").out == ""
    assert not home.exists()


def test_json_has_one_object_a_line_with_the_published_keys(call: Call, history: History) -> None:
    history.suspended()
    history.resumed()
    said = call("events", "list", "--json")
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert lines == [event.as_json() for event in history.log.read()]
    assert list(lines[0]) == [
        "position",
        "id",
        "stream",
        "version",
        "type",
        "schema",
        "time",
        "actor",
        "correlation",
        "causation",
        "data",
    ]


def test_it_begins_behind_a_position_and_keeps_to_a_stream_and_a_type(call: Call, history: History) -> None:
    history.suspended()
    history.environment = "stage"
    history.suspended()
    history.resumed()
    history.suspended()
    assert positions(call("events", "list", "--json", "--after", "2").out) == [3, 4]
    assert positions(call("events", "list", "--json", "--stream", "environment/shop/stage").out) == [2, 3, 4]
    assert positions(call("events", "list", "--json", "--type", "EnvironmentSuspended").out) == [1, 2, 4]
    both = call(
        "events", "list", "--json", "--type", "EnvironmentSuspended", "--stream", "environment/shop/prod"
    )
    assert positions(both.out) == [1]
    assert call("events", "list", "--json", "--type", "Nothing").out == ""


@pytest.mark.parametrize(("limit", "expected"), [("0", []), ("2", [1, 2]), ("9", [1, 2, 3])])
def test_a_limit_keeps_the_oldest(call: Call, history: History, limit: str, expected: list[int]) -> None:
    for _ in range(3):
        history.suspended()
    assert positions(call("events", "list", "--json", "--limit", limit).out) == expected


@pytest.mark.parametrize("limit", [None, 0, 1, 4, 5, 6, 100])
def test_pages_meet_without_gap_or_overlap(
    history: History, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    monkeypatch.setattr(events_module, "PAGE_EVENTS", 2)
    for _ in range(5):
        history.suspended()
    found = read_all(history.log, after=0, limit=limit, stream=None, type_name=None)
    assert [event.position for event in found] == [1, 2, 3, 4, 5][:limit]


def test_what_is_appended_meanwhile_is_left_to_the_next_call(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "PAGE_EVENTS", 1)
    for _ in range(3):
        history.suspended()
    found: list[int] = []
    for event in read_all(history.log, after=1, limit=None, stream=None, type_name=None):
        found.append(event.position)
        history.resumed()
    assert found == [2, 3]


def test_the_text_is_a_table(call: Call, history: History) -> None:
    history.suspended()
    history.observed("c1")
    expected = [
        ("POSITION", "TIME", "TYPE", "STREAM", "ACTOR"),
        ("1", "2026-01-02T03:04:05.000Z", "EnvironmentSuspended", "environment/shop/prod", "cli:act-1"),
        ("2", "2026-01-02T03:04:06.000Z", "RevisionObserved", "repository/shop", "cli:act-1"),
    ]
    lines = call("events", "list").out.splitlines()
    assert [tuple(line.split()) for line in lines] == expected
    assert len({line.index(row[-1]) for line, row in zip(lines, expected, strict=True)}) == 1
