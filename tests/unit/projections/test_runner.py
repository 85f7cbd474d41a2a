"""Following the log into views: equal however they were folded, made anew when they cannot be trusted."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from events.envelope import StoredEvent
from events.kernel.errors import OutsideError
from events.memory import MemoryEventLog
from events.sqlite import SqliteEventLog
from projections import view_store
from projections.rebuild import rebuild
from projections.runner import View, catch_up, fold_on, read_views
from projections.view_store import ViewsDamagedError, ViewStore, mend
from projections.views.environment_fold import ENVIRONMENTS
from projections.views.every import VIEWS
from projections.views.releases import RELEASES
from tests.support.logs import ReadLog
from tests.unit.projections.views.history import History, digest, rows
from tests.unit.projections.views.player import OPERATIONS, STEPS, Player, Step


def _count(tables: sqlite3.Connection, event: StoredEvent) -> None:
    tables.execute("INSERT INTO seen VALUES (?, ?)", (event.position, event.type))


SEEN = View(
    name="seen",
    version=1,
    tables={"seen": "CREATE TABLE seen (position INTEGER PRIMARY KEY, type TEXT)"},
    concerns=frozenset({"DeployRequested", "ReleaseStarted"}),
    apply=_count,
)


@pytest.fixture
def history() -> Iterator[History]:
    made = History()
    yield made
    made.log.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "views.db"


def positions(tables: sqlite3.Connection) -> list[int]:
    return [row["position"] for row in tables.execute("SELECT position FROM seen ORDER BY position")]


def checkpoint(tables: sqlite3.Connection) -> tuple[int, str | None]:
    row = tables.execute("SELECT position, event_id FROM checkpoints WHERE view = 'seen'").fetchone()
    return row["position"], row["event_id"]


def write(history: History, times: int = 1) -> None:
    """Two events a time: one that `SEEN` is about and one that it is not."""
    for _ in range(times):
        history.requested("a")
        history.suspended()


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

    def noted(tables: sqlite3.Connection, event: StoredEvent) -> None:
        applied.append(event.position)
        _count(tables, event)

    log.during_head += [lambda: catch_up(log, theirs, SEEN), lambda: write(history)]
    assert catch_up(log, mine, replace(SEEN, apply=noted)) == 2
    assert catch_up(log, mine, replace(SEEN, apply=noted)) == 4
    assert applied == []
    mine.close()
    theirs.close()
    log.close()


def test_another_version_of_a_view_is_made_anew_and_others_are_kept(history: History, path: Path) -> None:
    write(history)
    other = replace(SEEN, name="other", tables={"other": "CREATE TABLE other (x)"}, concerns=frozenset[str]())
    read_views(history.log, path, [SEEN, other], positions)
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO other VALUES (1)")
    db.close()

    def with_extra(tables: sqlite3.Connection, event: StoredEvent) -> None:
        tables.execute("INSERT INTO seen VALUES (?, ?, 'x')", (event.position, event.type))

    newer = replace(
        SEEN,
        version=2,
        tables={"seen": "CREATE TABLE seen (position INTEGER, type TEXT, extra TEXT)"},
        apply=with_extra,
    )

    def both(tables: sqlite3.Connection) -> list[Any]:
        return [
            [row["extra"] for row in tables.execute("SELECT extra FROM seen")],
            tables.execute("SELECT count(*) FROM other").fetchone()[0],
        ]

    assert read_views(history.log, path, [newer, other], both) == [["x"], 1]


def test_the_views_of_another_log_are_dropped(history: History, path: Path) -> None:
    write(history, 2)
    read_views(history.log, path, [SEEN], positions)
    other = History()
    other.requested("a")
    assert read_views(other.log, path, [SEEN], positions) == [1]
    other.log.close()


def test_a_log_that_was_set_back_makes_views_anew(history: History, path: Path) -> None:
    write(history, 3)
    read_views(history.log, path, [SEEN], positions)
    restored = History(MemoryEventLog(lineage=history.log.lineage))
    restored.suspended()
    restored.requested("a")
    assert read_views(restored.log, path, [SEEN], positions) == [2]
    restored.log.close()


def test_a_log_that_went_another_way_makes_views_anew(history: History, path: Path) -> None:
    history.requested("a")
    read_views(history.log, path, [SEEN], positions)
    other = History(MemoryEventLog(lineage=history.log.lineage))
    other.ids.event_id()
    other.suspended()
    other.requested("a")
    assert read_views(other.log, path, [SEEN], positions) == [2]
    other.log.close()


def test_a_file_that_is_no_database_is_made_anew(history: History, path: Path) -> None:
    write(history)
    path.parent.mkdir()
    path.write_bytes(b"not a database, not at all" * 100)
    assert read_views(history.log, path, [SEEN], positions) == [1]


def test_a_file_damaged_in_the_middle_is_made_anew(history: History, path: Path) -> None:
    write(history, 400)
    expected = read_views(history.log, path, [SEEN], positions)
    content = bytearray(path.read_bytes())
    page = 4096
    assert len(content) > 4 * page
    content[page * 2 :] = b"\xff" * (len(content) - page * 2)
    path.write_bytes(content)
    assert read_views(history.log, path, [SEEN], positions) == expected


def test_a_database_of_somebody_else_is_emptied(history: History, path: Path) -> None:
    write(history)
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE seen (other TEXT)")
        db.execute("PRAGMA user_version = 1")
    db.close()
    assert read_views(history.log, path, [SEEN], positions) == [1]


def test_mending_keeps_a_sound_file(history: History, path: Path) -> None:
    write(history)
    read_views(history.log, path, [SEEN], positions)
    before = path.read_bytes()
    mend(path)
    assert path.read_bytes() == before


def test_damage_that_stays_is_an_error_and_no_loop(history: History, path: Path) -> None:
    write(history)
    asked: list[int] = []

    def damaged(_tables: sqlite3.Connection) -> None:
        asked.append(1)
        raise ViewsDamagedError(view_store.VIEWS_UNAVAILABLE, "always")

    with pytest.raises(ViewsDamagedError):
        read_views(history.log, path, [SEEN], damaged)
    assert len(asked) == 2


def test_a_wrong_query_is_a_bug_and_keeps_the_file(history: History, path: Path) -> None:
    write(history)
    read_views(history.log, path, [SEEN], positions)
    before = path.read_bytes()
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        read_views(history.log, path, [SEEN], lambda tables: tables.execute("SELECT absent FROM seen"))
    assert path.read_bytes() == before


def test_a_full_disk_is_no_damage(history: History, path: Path) -> None:
    write(history)
    read_views(history.log, path, [SEEN], positions)
    write(history, 2000)
    store = ViewStore(path, lineage=history.log.lineage)
    with store.reading() as tables:
        tables.execute("PRAGMA max_page_count = 1")
    with pytest.raises(OutsideError) as caught:
        catch_up(history.log, store, SEEN)
    store.close()
    assert caught.value.code == "views-unavailable"
    assert "full" in caught.value.why
    assert not isinstance(caught.value, ViewsDamagedError)


def test_a_folder_that_cannot_be_made_says_where(history: History, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutsideError) as caught:
        read_views(history.log, tmp_path / "file" / "views.db", [SEEN], positions)
    assert caught.value.code == "views-unavailable"
    assert caught.value.where.file == str(tmp_path / "file" / "views.db")


def test_a_second_mender_gives_up_after_its_deadline(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    monkeypatch.setattr(view_store, "_BUSY_SECONDS", 0.05)
    with path.with_name("views.db.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OutsideError) as caught:
            mend(path)
    assert "locked" in caught.value.why


def test_a_locked_file_is_no_damage(history: History, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(history)
    read_views(history.log, path, [SEEN], positions)
    monkeypatch.setattr(view_store, "_BUSY_SECONDS", 0.05)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OutsideError) as caught:
        mend(path)
    assert not isinstance(caught.value, ViewsDamagedError)
    holder.close()
    assert read_views(history.log, path, [SEEN], positions) == [1]


def test_a_failed_transaction_is_rolled_back(history: History, path: Path) -> None:
    store = ViewStore(path, lineage=history.log.lineage)
    catch_up(history.log, store, SEEN)
    with pytest.raises(sqlite3.IntegrityError), store.writing() as tables:
        tables.executemany("INSERT INTO seen VALUES (?, 'x')", [(1,), (1,)])
    with store.reading() as tables:
        assert positions(tables) == []
    store.close()


@settings(deadline=None, max_examples=60)
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


class _Killed(BaseException):
    """The process is gone."""


@settings(deadline=None, max_examples=40)
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
        def apply(tables: sqlite3.Connection, event: StoredEvent) -> None:
            view.apply(tables, event)
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


def test_what_is_made_anew_is_said_once(history: History, path: Path) -> None:
    write(history)
    said: list[str] = []

    def ask(view: View = SEEN, of: History = history) -> None:
        read_views(of.log, path, [view], positions, tell=said.append)

    ask()
    assert said == [], "a short log is folded in no time"
    path.write_bytes(b"not a database, not at all" * 100)
    ask()
    other = History()
    ask(of=other)
    other.log.close()
    ask()
    ask(replace(SEEN, version=2))
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    for _ in range(2):
        ask()
    assert said == [
        "views.db was damaged; the views are made anew from the log",
        "views.db is made anew from the log: it is of another log",
        "views.db is made anew from the log: it is of another log",
        "the view seen is made anew from the log: its version is 2, and 1 was stored",
        "views.db is made anew from the log: another version of Stagecraft made it",
    ]


def test_a_long_way_is_said_before_it_is_gone(history: History, path: Path) -> None:
    write(history, 5001)
    said: list[str] = []
    for _ in range(2):
        read_views(history.log, path, [SEEN], positions, tell=said.append)
    assert said == ["10002 events are folded into the views first, this once"]


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
