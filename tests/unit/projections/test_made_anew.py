"""Views that cannot be trusted are made anew, and said to be; what is no damage keeps its file."""

from __future__ import annotations

import fcntl
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from events.envelope import StoredEvent
from events.kernel.errors import OutsideError
from events.memory import MemoryEventLog
from projections import view_store
from projections.runner import View, catch_up, read_views
from projections.view_store import ViewsDamagedError, ViewStore, mend
from tests.unit.projections.seen import SEEN, positions, write
from tests.unit.projections.views.history import History


def test_another_version_of_a_view_is_made_anew_and_others_are_kept(history: History, path: Path) -> None:
    write(history)
    other = replace(SEEN, name="other", tables={"other": "CREATE TABLE other (x)"}, concerns=frozenset[str]())
    read_views(history.log, path, [SEEN, other], positions)
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO other VALUES (1)")
    db.close()

    def with_extra(tables: sqlite3.Connection, event: StoredEvent, _data: dict[str, Any]) -> None:
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
