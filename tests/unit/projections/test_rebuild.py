"""Views made anew beside the live ones, and compared with the log."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from events.kernel.errors import OutsideError
from events.sqlite import SqliteEventLog
from projections.compare import compare
from projections.rebuild import rebuild
from projections.runner import read_views
from projections.view_store import ViewsMovedError, ViewStore
from projections.views.every import VIEWS
from tests.support.processes import wait_until
from tests.unit.projections.views.history import History, rows
from tests.unit.projections.views.player import OPERATIONS, Player

_SECONDS = 60.0


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """Some of everything, in a log in a file."""
    made = History(SqliteEventLog(tmp_path / "events.db"))
    Player(made).play(
        [(operation, name, 1) for name in ("prod", "stage") for operation in OPERATIONS for _ in range(2)]
    )
    yield made
    made.log.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "views.db"


def everything(tables: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    return rows(tables, VIEWS)


def all_rows(history: History, path: Path) -> dict[str, list[tuple[object, ...]]]:
    return read_views(history.log, path, VIEWS, everything)


def change(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()


def leftovers(path: Path) -> list[str]:
    """Files beside the live one, locks aside."""
    names = (one.name for one in path.parent.iterdir())
    return sorted(name for name in names if name.startswith("views.db.") and not name.endswith(".lock"))


def test_a_rebuild_has_the_rows_of_the_live_views_and_leaves_nothing_beside_them(
    history: History, path: Path
) -> None:
    live = all_rows(history, path)
    before = path.stat().st_ino
    told: list[tuple[int, int]] = []
    head = history.log.head()
    assert rebuild(history.log, path, VIEWS, told=lambda done, whole: told.append((done, whole))) == head
    assert path.stat().st_ino != before
    assert all_rows(history, path) == live
    assert (leftovers(path), told[-1]) == ([], (head, head))


def _settings(store: ViewStore) -> list[object]:
    names = ("synchronous", "journal_mode", "cache_size")
    with store.reading() as tables:
        return [tables.execute(f"PRAGMA {name}").fetchone()[0] for name in names]


def test_what_is_folded_aside_spares_the_disk_and_is_as_safe_as_any_once_it_is_live(
    history: History, path: Path
) -> None:
    live = ViewStore(path, lineage=history.log.lineage)
    private = ViewStore(path.with_name("aside.db"), lineage=history.log.lineage, private=True)
    usual = _settings(live)
    assert usual[:2] == [2, "delete"]
    assert _settings(private) == [0, "memory", -32 * 1024]
    live.close()
    private.close()
    rebuild(history.log, path, VIEWS)
    live = ViewStore(path, lineage=history.log.lineage)
    assert _settings(live) == usual
    live.close()


def test_a_rebuild_mends_what_a_hand_changed(history: History, path: Path) -> None:
    live = all_rows(history, path)
    change(path, "UPDATE releases SET status = 'completed'")
    assert all_rows(history, path) != live
    rebuild(history.log, path, VIEWS)
    assert all_rows(history, path) == live


@pytest.mark.parametrize("content", [None, b"", b"garbage " * 4000])
def test_a_rebuild_needs_no_live_file_that_is_sound(
    history: History, path: Path, content: bytes | None
) -> None:
    expected = all_rows(history, path.with_name("other.db"))
    if content is not None:
        path.write_bytes(content)
        path.with_name("views.db-journal").write_bytes(b"of somebody else" * 100)
    rebuild(history.log, path, VIEWS)
    assert all_rows(history, path) == expected


def test_who_reads_the_former_file_reads_on_and_opens_it_again_to_write(history: History, path: Path) -> None:
    live = all_rows(history, path)
    with_old = ViewStore(path, lineage=history.log.lineage)
    rebuild(history.log, path, VIEWS)
    with with_old.reading() as tables:
        assert everything(tables) == live
    with pytest.raises(ViewsMovedError), with_old.writing() as tables:
        tables.execute("DELETE FROM releases")
    with_old.close()
    assert all_rows(history, path) == live


def test_who_follows_while_the_file_is_replaced_answers_from_the_new_one(
    history: History, path: Path
) -> None:
    all_rows(history, path)
    once = [lambda: rebuild(history.log, path, VIEWS)]

    class Raced:
        """The log, during whose next page the views are made anew."""

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the log has
            if name == "head" and once:
                once.pop()()
            return getattr(history.log, name)

    history.suspended()
    raced: Any = Raced()
    found = read_views(raced, path, VIEWS, everything)
    assert not once
    assert found == all_rows(history, path.with_name("fresh.db"))


def test_a_rebuild_waits_for_a_reader_and_a_second_one_is_told_to_wait(history: History, path: Path) -> None:
    live = all_rows(history, path)
    store = ViewStore(path, lineage=history.log.lineage)
    done = threading.Event()

    def remake() -> None:
        rebuild(history.log, path, VIEWS)
        done.set()

    worker = threading.Thread(target=remake)
    with store.reading() as tables:
        tables.execute("SELECT count(*) FROM releases").fetchall()
        worker.start()
        wait_until("the fold beside", lambda: leftovers(path) != [], seconds=_SECONDS)
        with pytest.raises(OutsideError) as caught:
            rebuild(history.log, path, VIEWS)
        assert caught.value.code == "views-busy"
        assert everything(tables) == live
        assert not done.is_set()
    worker.join(_SECONDS)
    assert done.is_set()
    store.close()
    assert all_rows(history, path) == live


_DIES = """
import os, signal, sys
from pathlib import Path
from events.sqlite import SqliteEventLog
from projections import rebuild as made
from projections.views.every import VIEWS
log, path, moment = SqliteEventLog(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
def die(*_place):
    os.kill(os.getpid(), signal.SIGKILL)
if moment == "before the flip":
    made._flip = die
if moment == "within the flip":
    Path.replace = die
made.rebuild(log, path, VIEWS, told=die if moment == "between pages" else None)
"""


@pytest.mark.parametrize("moment", ["between pages", "before the flip", "within the flip"])
def test_a_rebuild_that_is_killed_leaves_the_live_views_and_the_next_one_cleans_up(
    history: History, path: Path, moment: str
) -> None:
    live, bytes_before = all_rows(history, path), path.read_bytes()
    ended = subprocess.run(
        [sys.executable, "-c", _DIES, str(path.with_name("events.db")), str(path), moment],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=_SECONDS,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert leftovers(path) != []
    assert path.read_bytes() == bytes_before
    assert all_rows(history, path) == live
    rebuild(history.log, path, VIEWS)
    assert (leftovers(path), all_rows(history, path)) == ([], live)


def test_views_that_are_their_fold_compare_equal_and_nothing_is_changed(history: History, path: Path) -> None:
    all_rows(history, path)
    before = path.read_bytes()
    history.suspended()  # not folded yet: that is no difference
    found = compare(history.log, path, VIEWS)
    assert found.difference is None
    assert [(one.name, one.position) for one in found.compared] == [
        (view.name, history.log.head() - 1) for view in VIEWS
    ]
    assert found.as_json()["ok"] is True
    assert all(digest.startswith("sha256:") for one in found.compared for digest in one.digests.values())
    assert (path.read_bytes(), leftovers(path)) == (before, [])


@pytest.mark.parametrize(
    ("statement", "table", "words"),
    [
        (
            "UPDATE releases SET status = 'lost' WHERE status = 'failed'",
            "releases",
            "a row differs in status",
        ),
        ("DELETE FROM environment_jobs", "environment_jobs", "a row is missing"),
        ("INSERT INTO trace_releases VALUES ('a', 'b', 'c')", "trace_releases", "there is a row too many"),
        ("INSERT INTO trace_releases VALUES ('z', 'b', 'c')", "trace_releases", "there is a row too many"),
        ("DROP TABLE release_phases", "release_phases", "no such table: release_phases"),
        (
            "INSERT INTO parked VALUES ('releases', 's', 1, 't', 1, 'a', 'unknown-type', '', '', 1)",
            "parked",
            "there is a row too many",
        ),
    ],
)
def test_the_first_row_that_differs_is_named(
    history: History, path: Path, statement: str, table: str, words: str
) -> None:
    all_rows(history, path)
    change(path, statement)
    found = compare(history.log, path, VIEWS).difference
    assert found is not None
    assert (found.table, words in found.detail) == (table, True), found.detail
    rebuild(history.log, path, VIEWS)
    assert compare(history.log, path, VIEWS).difference is None


def test_a_damaged_file_is_a_difference_and_one_that_is_missing_or_of_another_log_is_not(
    history: History, path: Path
) -> None:
    assert compare(history.log, path, VIEWS).skipped == tuple(view.name for view in VIEWS)
    assert not path.exists()
    other = History()
    other.suspended()
    read_views(other.log, path, VIEWS, everything)
    other.log.close()
    assert compare(history.log, path, VIEWS).difference is None
    path.write_bytes(b"garbage " * 4000)
    found = compare(history.log, path, VIEWS).difference
    assert found is not None
    assert "views.db is damaged" in found.detail


def test_two_that_compare_are_told_apart(history: History, path: Path) -> None:
    all_rows(history, path)
    with path.with_name("views.db.aside.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OutsideError) as caught:
            compare(history.log, path, VIEWS)
    assert caught.value.code == "views-busy"
