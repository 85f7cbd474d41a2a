"""Following the log into views: each gets the events it is about, once, and all of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from events.envelope import StoredEvent
from events.kernel.errors import OutsideError
from events.memory import MemoryEventLog
from projections.runner import catch_up, fold_on, read_views
from projections.view_store import ViewStore
from tests.support.logs import ReadLog
from tests.unit.projections.seen import SEEN, count, positions, write
from tests.unit.projections.views.history import History


def checkpoint(tables: sqlite3.Connection) -> tuple[int, str | None]:
    row = tables.execute("SELECT position, event_id FROM checkpoints WHERE view = 'seen'").fetchone()
    return row["position"], row["event_id"]


def test_a_view_gets_the_events_it_is_about_and_the_checkpoint_passes_the_others(
    history: History, path: Path
) -> None:
    write(history, 2)
    store = ViewStore(path, lineage=history.log.lineage)
    assert catch_up(history.log, store, SEEN) == 4
    with store.reading() as tables:
        assert positions(tables) == [1, 3]
        assert checkpoint(tables) == (4, str(history.log.read(after=3)[0].id))
    store.close()


def test_a_second_catch_up_applies_only_what_is_new(history: History, path: Path) -> None:
    write(history)
    assert read_views(history.log, path, [SEEN], positions) == [1]
    write(history)
    assert read_views(history.log, path, [SEEN], positions) == [1, 3]


def test_an_empty_log_is_followed_to_nothing(path: Path) -> None:
    log = MemoryEventLog()
    store = ViewStore(path, lineage=log.lineage)
    assert catch_up(log, store, SEEN) == 0
    store.close()
    log.close()


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
def test_every_page_size_gives_the_same_rows(history: History, path: Path, page: int) -> None:
    write(history, 4)
    store = ViewStore(path, lineage=history.log.lineage)
    assert catch_up(history.log, store, SEEN, page_events=page) == 8
    with store.reading() as tables:
        assert positions(tables) == [1, 3, 5, 7]
    store.close()


class RacedLog(ReadLog):
    """A log during whose next call something else happens; it is a real log in all else."""

    def __init__(self) -> None:
        super().__init__()
        self.during_head: list[Callable[[], object]] = []

    @override
    def head(self) -> int:
        head = super().head()
        while self.during_head:
            self.during_head.pop()()
        return head


def test_a_page_that_another_process_applied_meanwhile_is_not_applied_twice(path: Path) -> None:
    log = RacedLog()
    write(History(log), 2)
    mine = ViewStore(path, lineage=log.lineage)
    theirs = ViewStore(path, lineage=log.lineage)
    log.during_read.append(lambda: catch_up(log, theirs, SEEN, page_events=3))
    assert catch_up(log, mine, SEEN) == 4
    with mine.reading() as tables:
        assert positions(tables) == [1, 3]
    mine.close()
    theirs.close()
    log.close()


def test_a_view_that_another_process_brought_further_is_not_thrown_away(path: Path) -> None:
    log = RacedLog()
    history = History(log)
    write(history)
    mine = ViewStore(path, lineage=log.lineage)
    theirs = ViewStore(path, lineage=log.lineage)
    catch_up(log, mine, SEEN)
    applied: list[int] = []

    def noted(tables: sqlite3.Connection, event: StoredEvent, data: dict[str, Any]) -> None:
        applied.append(event.position)
        count(tables, event, data)

    log.during_head += [lambda: catch_up(log, theirs, SEEN), lambda: write(history)]
    assert catch_up(log, mine, replace(SEEN, apply=noted)) == 2
    assert catch_up(log, mine, replace(SEEN, apply=noted)) == 4
    assert applied == []
    mine.close()
    theirs.close()
    log.close()


def test_a_folder_that_cannot_be_made_says_where(history: History, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutsideError) as caught:
        read_views(history.log, tmp_path / "file" / "views.db", [SEEN], positions)
    assert caught.value.code == "views-unavailable"
    assert caught.value.where.file == str(tmp_path / "file" / "views.db")


def test_a_failed_transaction_is_rolled_back(history: History, path: Path) -> None:
    store = ViewStore(path, lineage=history.log.lineage)
    catch_up(history.log, store, SEEN)
    with pytest.raises(sqlite3.IntegrityError), store.writing() as tables:
        tables.executemany("INSERT INTO seen VALUES (?, 'x')", [(1,), (1,)])
    with store.reading() as tables:
        assert positions(tables) == []
    store.close()


def test_views_that_stand_at_the_same_place_share_the_reading(path: Path) -> None:
    log = ReadLog()
    write(History(log), 5)
    ahead = replace(SEEN, name="ahead", tables={"ahead": "CREATE TABLE ahead (x)"}, concerns=frozenset[str]())
    store = ViewStore(path, lineage=log.lineage)
    fold_on(log, store, [ahead], until=4)
    log.given.clear()
    assert fold_on(log, store, [SEEN, ahead], page_events=4) == {"seen": 10, "ahead": 10}
    assert log.given == [1, 4, 4, 2], "the event of the checkpoint, then each page once"
    store.close()
    log.close()


def test_a_log_that_lacks_what_its_head_says_is_an_error_and_no_loop(history: History, path: Path) -> None:
    write(history)
    store = ViewStore(path, lineage=history.log.lineage)
    with pytest.raises(OutsideError) as caught:
        fold_on(history.log, store, [SEEN], until=9)
    assert caught.value.code == "log-unavailable"
    store.close()
