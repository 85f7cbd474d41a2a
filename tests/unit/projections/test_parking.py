"""Events that a view cannot take: they stop their stream and no other, and are folded when they can be."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from events import schemas
from events.envelope import CONTROLLER, ProposedEvent, StoredEvent
from events.kernel.canonical import canonical_json
from events.kernel.clock import parse_utc
from events.log import StreamAppend
from events.streams import StreamName, environment_stream, release_stream
from projections import parking
from projections.parking import lag_of, list_parked
from projections.runner import View, fold_on, read_views
from projections.view_store import ViewStore
from tests.unit.projections.views.history import History

PROD, STAGE = environment_stream("shop", "prod"), environment_stream("shop", "stage")


def _note(tables: sqlite3.Connection, event: StoredEvent, _data: dict[str, Any]) -> None:
    tables.execute("INSERT INTO seen VALUES (?, ?)", (event.position, event.type))


def _note_position(tables: sqlite3.Connection, event: StoredEvent, _data: dict[str, Any]) -> None:
    tables.execute("INSERT INTO others VALUES (?)", (event.position,))


def _ask_nonsense(tables: sqlite3.Connection, _event: StoredEvent, _data: dict[str, Any]) -> None:
    tables.execute("SELECT absent FROM seen")


SEEN = View(
    name="seen",
    version=1,
    tables={"seen": "CREATE TABLE seen (position INTEGER PRIMARY KEY, type TEXT)"},
    concerns=frozenset({"DeployRequested", "ServiceReplaced"}),
    apply=_note,
)
OTHER = replace(
    SEEN,
    name="other",
    tables={"others": "CREATE TABLE others (position INTEGER PRIMARY KEY)"},
    apply=_note_position,
)
Break = Callable[[StoredEvent], Exception | None]


def breaking(view: View, error_of: Break) -> View:
    """The view with a fold that first does its work and then fails at some events."""

    def apply(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
        view.apply(tables, event, data)
        error = error_of(event)
        if error is not None:
            raise error

    return replace(view, apply=apply)


def at(position: int, error: Exception | None = None) -> Break:
    return lambda event: (error or KeyError("digest")) if event.position == position else None


def seen(tables: sqlite3.Connection) -> list[int]:
    return [row["position"] for row in tables.execute("SELECT position FROM seen ORDER BY position")]


def parked(tables: sqlite3.Connection) -> list[tuple[str, int, str, int]]:
    return [(one.stream, one.position, one.why, one.events) for one in list_parked(tables, {"seen", "other"})]


def turns(history: History, times: int) -> None:
    """A request in each of two environments, one after the other."""
    for _ in range(times):
        for environment in ("prod", "stage"):
            history.environment = environment
            history.requested("a")


def stray(history: History, stream: StreamName, type_name: str, schema: int = 1, **data: object) -> None:
    event_id = history.ids.event_id()
    proposed = ProposedEvent(
        id=event_id,
        type=type_name,
        schema=schema,
        time=history.clock.now(),
        actor=CONTROLLER,
        correlation=event_id,
        causation=None,
        data=canonical_json(data),
    )
    history.log.append([StreamAppend(stream=stream, events=(proposed,))])


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        TypeError("x"),
        ZeroDivisionError("x"),
        sqlite3.IntegrityError("NOT NULL"),
        RecursionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_event_at_which_a_fold_fails_waits_with_its_stream_and_others_go_on(
    history: History, path: Path, error: Exception
) -> None:
    turns(history, 3)
    broken = breaking(SEEN, at(3, error))
    assert read_views(history.log, path, [broken], seen) == [1, 2, 4, 6]
    assert read_views(history.log, path, [broken], parked) == [(PROD, 3, "failed", 2)]


def test_a_wrong_statement_of_a_fold_is_its_mistake_and_no_damage(history: History, path: Path) -> None:
    turns(history, 1)
    broken = replace(SEEN, apply=_ask_nonsense)
    read_views(history.log, path, [broken], seen)
    (one, _) = read_views(history.log, path, [broken], lambda tables: list_parked(tables, {"seen"}))
    assert "no such column: absent" in one.error


def test_a_failed_event_leaves_no_rows_and_is_tried_twice_and_then_no_more(
    history: History, path: Path
) -> None:
    turns(history, 1)
    tried: list[int] = []

    def fails(event: StoredEvent) -> Exception | None:
        tried.append(event.position)
        return KeyError("x") if event.position == 1 else None

    for _ in range(3):
        assert read_views(history.log, path, [breaking(SEEN, fails)], seen) == [2]
    assert tried.count(1) == 2


def test_what_fails_in_one_view_is_taken_by_another(history: History, path: Path) -> None:
    turns(history, 2)
    views = [breaking(SEEN, at(1)), OTHER]
    assert read_views(history.log, path, views, seen) == [2, 4]
    query = "SELECT count(*) FROM others"
    assert read_views(history.log, path, views, lambda tables: tables.execute(query).fetchone()[0]) == 4


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_what_comes_later_in_the_stream_waits_too_whatever_the_pages(
    history: History, path: Path, page: int
) -> None:
    turns(history, 3)
    broken = breaking(SEEN, at(1))
    store = ViewStore(path, lineage=history.log.lineage)
    fold_on(history.log, store, [broken], page_events=page)
    turns(history, 2)
    fold_on(history.log, store, [broken], page_events=page)
    with store.reading() as tables:
        assert (seen(tables), parked(tables)) == ([2, 4, 6, 8, 10], [(PROD, 1, "failed", 5)])
    store.close()


def test_an_unknown_type_waits_with_its_stream_in_every_view(history: History, path: Path) -> None:
    turns(history, 1)
    stray(history, PROD, "ShipLaunched", name="Ada")
    turns(history, 1)
    assert read_views(history.log, path, [SEEN, OTHER], seen) == [1, 2, 5]
    assert read_views(history.log, path, [SEEN, OTHER], parked) == [(PROD, 3, "unknown-type", 2)] * 2


def test_a_newer_schema_waits_where_it_concerns_the_view(history: History, path: Path) -> None:
    release = release_stream("rel-1")
    stray(history, release, "ServiceReplaced", 3, host="local")
    stray(history, release, "PhaseStarted", 9, phase="build")
    turns(history, 1)
    assert read_views(history.log, path, [SEEN], seen) == [3, 4]
    assert read_views(history.log, path, [SEEN], parked) == [(release, 1, "newer-schema", 1)]


def test_an_older_schema_is_folded_in_the_newest(history: History, path: Path) -> None:
    folded: list[StoredEvent] = []
    stray(history, release_stream("rel-1"), "ServiceReplaced", host="local", seconds=1.5)

    def keep(_tables: sqlite3.Connection, event: StoredEvent, _data: dict[str, Any]) -> None:
        folded.append(event)

    read_views(history.log, path, [replace(SEEN, apply=keep)], seen)
    assert folded[0].schema == 2
    assert b'"milliseconds":1500' in folded[0].data


def test_data_that_no_step_understands_wait_too(history: History, path: Path) -> None:
    stray(history, release_stream("rel-1"), "ServiceReplaced", seconds="soon")
    read_views(history.log, path, [SEEN], seen)
    assert [why for _, _, why, _ in read_views(history.log, path, [SEEN], parked)] == ["failed"]


def test_an_upgrade_folds_what_failed_again_from_the_start_and_says_so(
    history: History, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns(history, 2)
    said: list[str] = []
    read_views(history.log, path, [breaking(SEEN, at(1))], seen)
    assert read_views(history.log, path, [SEEN], seen, tell=said.append) == [2, 4], "the same version again"
    assert said == []
    monkeypatch.setattr(parking, "this_version", lambda: "another")
    assert read_views(history.log, path, [SEEN], seen, tell=said.append) == [1, 2, 3, 4]
    assert read_views(history.log, path, [SEEN], parked) == []
    assert said == [
        "the view seen is made anew from the log: this version of Stagecraft may take events that were parked"
    ]


def test_an_upgrade_that_knows_the_type_folds_it(
    history: History, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray(history, PROD, "ShipLaunched")
    turns(history, 1)
    assert read_views(history.log, path, [SEEN], seen) == [3]
    knows = {**schemas.SCHEMAS, "ShipLaunched": 1}
    monkeypatch.setattr("projections.parking.SCHEMAS", knows)
    monkeypatch.setattr(schemas, "SCHEMAS", knows)
    assert read_views(history.log, path, [SEEN], seen) == [2, 3]


def test_a_view_made_anew_waits_with_the_same_streams(history: History, path: Path) -> None:
    turns(history, 2)
    stray(history, STAGE, "ShipLaunched")
    turns(history, 2)
    broken = breaking(SEEN, at(3))

    def both(tables: sqlite3.Connection) -> object:
        return seen(tables), parked(tables)

    first = read_views(history.log, path, [broken], both)
    path.unlink()
    assert read_views(history.log, path, [broken], both) == first


def test_a_disk_that_fails_within_a_fold_is_no_mistake_of_the_event(history: History, path: Path) -> None:
    turns(history, 1)
    broken = breaking(SEEN, at(1, OSError("gone")))
    with pytest.raises(Exception, match="views cannot be used"):
        read_views(history.log, path, [broken], seen)


def test_lag_counts_the_events_of_a_stream_once_and_the_age_of_the_oldest(
    history: History, path: Path
) -> None:
    turns(history, 1)
    stray(history, PROD, "ShipLaunched")
    turns(history, 3)
    views = [SEEN, OTHER]
    found = read_views(history.log, path, views, lambda tables: list_parked(tables, {"seen", "other"}))
    lag = lag_of(found, now=parse_utc(found[0].at) + timedelta(seconds=90))
    assert lag is not None
    assert (lag.events, lag.seconds) == (4, 90.0)
    assert lag.as_json()["parked"][0] == {
        "view": "other",
        "stream": PROD,
        "position": 3,
        "type": "ShipLaunched",
        "schema": 1,
        "at": found[0].at,
        "why": "unknown-type",
        "error": "",
        "events": 4,
    }
    assert lag_of([], now=datetime.now(UTC)) is None
