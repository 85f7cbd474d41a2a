"""Views are equal however they were folded: in pages, over kills, by many at once, or anew."""

from __future__ import annotations

import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from events.envelope import StoredEvent
from events.sqlite import SqliteEventLog
from projections.rebuild import rebuild
from projections.runner import View, catch_up, fold_on, read_views
from projections.view_store import ViewStore
from projections.views.environment_fold import ENVIRONMENTS
from projections.views.every import VIEWS
from projections.views.release_fold import RELEASES
from tests.support.examples import examples
from tests.unit.projections.views.history import History, digest, rows
from tests.unit.projections.views.player import OPERATIONS, STEPS, Player, Step


@settings(deadline=None, max_examples=examples(steady=20, search=200))
@given(before=STEPS, after=STEPS, page=st.integers(1, 7))
def test_views_are_equal_however_they_were_folded(before: list[Step], after: list[Step], page: int) -> None:
    history = History()
    player = Player(history)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "views.db"
        store = ViewStore(path, lineage=history.log.lineage)
        for steps in (before, after):
            player.play(steps)
            for view in VIEWS:
                assert catch_up(history.log, store, view, page_events=page) == history.log.head()
        with store.reading() as tables:
            step_by_step = rows(tables, VIEWS)
        store.close()
        path.unlink()
        at_once = read_views(history.log, path, VIEWS, lambda tables: rows(tables, VIEWS))
        again = read_views(history.log, path, VIEWS, lambda tables: rows(tables, VIEWS))
    history.log.close()
    assert step_by_step == at_once == again


def test_a_view_leaves_the_data_that_all_share_as_they_are(history: History, path: Path) -> None:
    Player(history).play([(operation, "prod", 1) for operation in OPERATIONS for _ in range(2)])
    given: dict[str, int] = {}

    def watched(view: View) -> View:
        def apply(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
            assert data == json.loads(event.data)
            view.apply(tables, event, data)
            assert data == json.loads(event.data)
            given[view.name] = given.get(view.name, 0) + 1

        return replace(view, apply=apply)

    read_views(history.log, path, [watched(view) for view in VIEWS], lambda _tables: None)
    assert given.keys() == {view.name for view in VIEWS}


class _Killed(BaseException):
    """The process is gone."""


@settings(deadline=None, max_examples=examples(steady=15, search=150))
@given(steps=STEPS, page=st.integers(1, 7), kills=st.lists(st.integers(1, 30), max_size=4), data=st.data())
def test_a_runner_killed_within_any_page_goes_on_to_the_same_rows_at_any_checkpoint(
    steps: list[Step], page: int, kills: list[int], data: st.DataObject
) -> None:
    history = History()
    Player(history).play(steps)
    head = history.log.head()
    until = data.draw(st.integers(0, head), label="checkpoint")
    with TemporaryDirectory() as folder:
        killed, whole, rebuilt = (Path(folder) / name for name in ("killed.db", "whole.db", "rebuilt.db"))
        for left in kills:
            store = ViewStore(killed, lineage=history.log.lineage)
            with suppress(_Killed):
                fold_on(history.log, store, _mortal(left), until=until, page_events=page)
            store.close()
        assert _folded(history, killed, until, page) == _folded(history, whole, until, 1000)
        live = _folded(history, killed, head, page)
        rebuild(history.log, rebuilt, VIEWS)
        assert live == read_views(history.log, rebuilt, VIEWS, lambda tables: rows(tables, VIEWS))
    history.log.close()


def _mortal(left: int) -> list[View]:
    """The views, with folds that end the process at their n-th event together."""
    lives = iter(range(left))

    def dying(view: View) -> View:
        def apply(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
            view.apply(tables, event, data)
            if next(lives, None) is None:
                raise _Killed

        return replace(view, apply=apply)

    return [dying(view) for view in VIEWS]


def _folded(history: History, path: Path, until: int, page: int) -> dict[str, list[tuple[object, ...]]]:
    store = ViewStore(path, lineage=history.log.lineage)
    reached = fold_on(history.log, store, VIEWS, until=until, page_events=page)
    assert set(reached.values()) == {until}
    with store.reading() as tables:
        found = rows(tables, VIEWS)
    store.close()
    return found


def test_readers_at_once_answer_the_same_while_the_file_is_deleted_and_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "views.db"
    history = History(SqliteEventLog(tmp_path / "events.db"))
    Player(history).play([(operation, "prod", 1) for operation in OPERATIONS for _ in range(2)])
    expected = read_views(history.log, path, VIEWS, lambda tables: rows(tables, VIEWS))
    over = threading.Event()

    def read() -> int:
        answers = 0
        while not over.is_set() or answers == 0:
            assert read_views(history.log, path, VIEWS, lambda tables: rows(tables, VIEWS)) == expected
            answers += 1
        return answers

    with ThreadPoolExecutor(4) as readers:
        reading = [readers.submit(read) for _ in range(4)]
        try:
            for _ in range(5):
                path.unlink()
                rebuild(history.log, path, VIEWS)
                history.log.head()
        finally:
            over.set()
        assert all(one.result(timeout=60) > 0 for one in reading)
    history.log.close()


def test_the_player_makes_histories_that_fill_every_table_of_environments_and_releases() -> None:
    history = History()
    Player(history).play([(operation, "prod", 1) for operation in OPERATIONS for _ in range(2)])
    Player(history).play([("rendered", "prod", 1), ("requested", "prod", 1), ("job", "prod", 1)])
    Player(history).play([("requested", "prod", 2), ("phase", "prod", 1), ("stop", "prod", 1)])
    with TemporaryDirectory() as folder:
        views = (ENVIRONMENTS, RELEASES)
        filled = read_views(history.log, Path(folder) / "v.db", views, lambda tables: rows(tables, views))
    history.log.close()
    assert all(filled.values())
    assert digest("m1") in str(filled["environments"])
