"""What the log's port promises to who asks by facts of the envelope or by time, proven of each adapter."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from events.envelope import Actor
from events.log import EventLog, StreamAppend
from events.query import ActorQuery, EventQuery
from events.sqlite import SqliteEventLog
from events.sqlite_query import positions
from events.streams import StreamName
from tests.contract.event_log import ADAPTERS, WHEN, A, Adapter, B, opened, proposed

ANN, BEN = Actor(kind="cli", id="act-ann"), Actor(kind="git", id="act-ben")
ONE, TWO = uuid4(), uuid4()


@pytest.fixture(params=ADAPTERS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    adapter: Adapter = request.param
    with opened(adapter, tmp_path) as made:
        yield made


def append(
    log: EventLog,
    stream: StreamName,
    type_name: str,
    *,
    actor: Actor = ANN,
    correlation: UUID = ONE,
    minutes: int = 0,
) -> None:
    event = proposed(b'{"a":"x%d"}' % minutes, type_name=type_name, time=WHEN + timedelta(minutes=minutes))
    event = replace(event, actor=actor, correlation=correlation)
    log.append([StreamAppend(stream=stream, events=(event,))])


@pytest.fixture
def full(log: EventLog) -> EventLog:
    """Six events; the clock goes back before the fifth."""
    append(log, A, "Held", minutes=0)
    append(log, B, "Started", actor=BEN, minutes=1)
    append(log, A, "Cleared", actor=BEN, correlation=TWO, minutes=60)
    append(log, B, "Held", minutes=61)
    append(log, A, "Held", actor=replace(BEN, kind="cli"), minutes=2)
    append(log, A, "Started", correlation=TWO, minutes=3)
    return log


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (EventQuery(), [1, 2, 3, 4, 5, 6]),
        (EventQuery(after=2, upto=4), [3, 4]),
        (EventQuery(after=6), []),
        (EventQuery(stream=A), [1, 3, 5, 6]),
        (EventQuery(stream=A, newest_first=True, limit=2), [6, 5]),
        (EventQuery(stream=A, upto=5, newest_first=True, limit=1), [5]),
        (EventQuery(stream=StreamName("log")), []),
        (EventQuery(types=frozenset({"Held"})), [1, 4, 5]),
        (EventQuery(types=frozenset({"Held", "Cleared"}), limit=2), [1, 3]),
        (EventQuery(types=frozenset({"Nothing"})), []),
        (EventQuery(actor=ActorQuery(kind="cli")), [1, 4, 5, 6]),
        (EventQuery(actor=ActorQuery(ids=("act-ben",))), [2, 3, 5]),
        (EventQuery(actor=ActorQuery(kind="git", ids=("act-ann", "act-ben"))), [2, 3]),
        (EventQuery(actor=ActorQuery(ids=())), []),
        (EventQuery(correlation=TWO), [3, 6]),
        (EventQuery(correlation=TWO, types=frozenset({"Started"}), stream=A, after=3), [6]),
        (EventQuery(mentions=b'"x2"'), [5]),
        (EventQuery(positions=frozenset({5, 2, 9})), [2, 5]),
        (EventQuery(positions=frozenset({1, 2, 5, 6}), after=1, newest_first=True, limit=2), [6, 5]),
        (EventQuery(positions=frozenset({1, 2, 3}), stream=A), [1, 3]),
        (EventQuery(positions=frozenset()), []),
        (EventQuery(newest_first=True, limit=3), [6, 5, 4]),
        (EventQuery(limit=0), []),
    ],
)
def test_everything_that_is_asked_for_has_to_hold(
    full: EventLog, query: EventQuery, expected: list[int]
) -> None:
    found = full.select(query)
    assert [event.position for event in found] == expected
    assert found == [one for position in expected for one in full.read(after=position - 1, limit=1)]


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(-1, 0), (0, 1), (0.5, 1), (1, 2), (2, 5), (3, 6), (30, 6), (60, 6), (61, 6), (10_000, 6)],
)
def test_a_time_means_the_last_event_at_or_before_it_by_position(
    full: EventLog, minutes: float, expected: int
) -> None:
    assert full.position_at(WHEN + timedelta(minutes=minutes)) == expected


def test_an_empty_log_has_no_position_for_a_time(log: EventLog) -> None:
    assert log.position_at(WHEN) == 0


def test_a_limit_below_0_is_the_callers_mistake(log: EventLog) -> None:
    with pytest.raises(ValueError, match="limit"):
        log.select(EventQuery(limit=-1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cli", ActorQuery(kind="cli")),
        ("cli:act-1", ActorQuery(kind="cli", ids=("act-1",))),
        ("act-1", ActorQuery(ids=("act-1",))),
        ("nobody:act-1", ActorQuery(ids=("nobody:act-1",))),
        ("controller:controller", ActorQuery(kind="controller", ids=("controller",))),
    ],
)
def test_an_actor_is_named_by_kind_by_id_or_by_both(text: str, expected: ActorQuery) -> None:
    assert ActorQuery.parsed(text) == expected


def test_any_number_of_positions_may_be_asked_for(full: EventLog) -> None:
    found = full.select(EventQuery(positions=frozenset(range(3, 100_000))))
    assert [event.position for event in found] == [3, 4, 5, 6]


def test_a_file_without_the_index_answers_the_same(tmp_path: Path) -> None:
    with opened("sqlite", tmp_path) as log:
        append(log, A, "Held")
        append(log, A, "Started", minutes=1)
    with sqlite3.connect(tmp_path / "events.db") as connection:
        connection.execute("DROP INDEX events_by_facts")
    connection.close()
    older = SqliteEventLog(tmp_path / "events.db")
    try:
        assert [event.position for event in older.select(EventQuery(types=frozenset({"Held"})))] == [1]
        assert older.position_at(WHEN) == 1
    finally:
        older.close()


def planned(connection: sqlite3.Connection, query: EventQuery) -> list[str]:
    """The steps in which SQLite finds the positions."""
    statement, values = positions(connection, query)
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]


def test_each_of_some_positions_is_gone_to_at_once(tmp_path: Path) -> None:
    with opened("sqlite", tmp_path):
        pass
    connection = sqlite3.connect(tmp_path / "events.db")
    try:
        plan = planned(connection, EventQuery(positions=frozenset({1, 2})))
        assert "events_by_facts (position=?)" in plan[0]
    finally:
        connection.close()


def test_facts_are_looked_up_beside_the_wide_rows(tmp_path: Path) -> None:
    """The plan, not the time: no step reads the table to find what fits."""
    with opened("sqlite", tmp_path) as log:
        append(log, A, "Held")
    connection = sqlite3.connect(tmp_path / "events.db")
    try:
        for query in (
            EventQuery(types=frozenset({"Held"}), after=1),
            EventQuery(actor=ActorQuery(kind="cli"), newest_first=True),
            EventQuery(correlation=ONE, limit=3),
        ):
            plan = planned(connection, query)
            assert len(plan) == 1
            assert "COVERING INDEX events_by_facts" in plan[0]
    finally:
        connection.close()
