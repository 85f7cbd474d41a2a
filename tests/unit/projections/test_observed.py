"""What engines last answered, kept in a file that may be lost."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError
from projections.observed import (
    BranchAnswer,
    HostAnswer,
    HostObservation,
    ObservedContainer,
    ObservedService,
    ObservedStore,
)

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
WEB = ObservedService(
    name="web",
    image="web:1",
    containers=(ObservedContainer(id="a" * 64, state="running", health="healthy"),),
    drift=("stopped",),
)


def seen(host: str = "local", *, environment: str = "hello/prod", at: datetime = AT) -> HostObservation:
    return HostObservation(environment=environment, host=host, reachable=True, services=(WEB,), at=at)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "observed.db"


@pytest.fixture
def store(path: Path) -> ObservedStore:
    return ObservedStore(path)


def test_nothing_is_known_before_the_first_look(store: ObservedStore) -> None:
    assert store.load("hello/prod") == ()


def test_what_was_seen_is_read_back_by_environment_and_sorted(store: ObservedStore) -> None:
    for one in (seen("n2"), seen("local"), seen(environment="hello/test")):
        store.save(one)
    assert store.load("hello/prod") == (seen("local"), seen("n2"))
    assert store.load("hello/test") == (seen(environment="hello/test"),)


def test_a_later_look_replaces_an_earlier_one(store: ObservedStore) -> None:
    store.save(seen())
    later = seen(at=AT + timedelta(minutes=1))
    store.save(later)
    assert store.load("hello/prod") == (later,)


@pytest.mark.parametrize("reachable", [False, None])
def test_a_host_without_an_answer_keeps_its_last_one(store: ObservedStore, *, reachable: bool | None) -> None:
    store.save(seen())
    store.mark("hello/prod", "local", reachable=reachable, reason="connection refused")
    (found,) = store.load("hello/prod")
    assert (found.reachable, found.reason) == (reachable, "connection refused")
    assert (found.services, found.at) == ((WEB,), AT)


def test_a_host_that_never_answered_is_known_as_such(store: ObservedStore) -> None:
    store.mark("hello/prod", "local", reachable=False, reason="no")
    (found,) = store.load("hello/prod")
    assert (found.reachable, found.services, found.at) == (False, (), None)


def write_garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


def write_other_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA user_version = 1")
        db.execute("CREATE TABLE host (something TEXT)")


def write_older_layout(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE host (something TEXT)")


def write_row(services: str, at: str | None) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        ObservedStore(path).save(seen())
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE host SET services = ?, at = ?", (services, at))

    return write


def cut_in_half(path: Path) -> None:
    ObservedStore(path).save(seen())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    "damage",
    [
        write_garbage,
        write_other_table,
        write_older_layout,
        write_row("{}", None),
        write_row('{"items": []}', "yesterday"),
        cut_in_half,
    ],
)
def test_a_file_that_cannot_be_understood_is_made_anew(
    store: ObservedStore, path: Path, damage: Callable[[Path], None]
) -> None:
    path.parent.mkdir(parents=True)
    damage(path)
    assert store.load("hello/prod") == ()
    store.save(seen())
    assert store.load("hello/prod") == (seen(),)


def test_a_file_that_is_deleted_in_between_harms_nothing(store: ObservedStore, path: Path) -> None:
    store.save(seen())
    path.unlink()
    assert store.load("hello/prod") == ()
    store.save(seen())
    assert store.load("hello/prod") == (seen(),)


def test_what_is_no_damage_is_said_and_nothing_is_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(OutsideError, match="observed-unavailable"):
        ObservedStore(tmp_path / "state" / "observed.db").load("hello/prod")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OutsideError, match="observed-unavailable"):
        ObservedStore(folder).save(seen())


def test_a_lock_is_waited_for_and_is_no_damage(store: ObservedStore, path: Path) -> None:
    store.save(seen())
    inode = path.stat().st_ino
    holder = sqlite3.connect(path, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.3, holder.rollback)
    timer.start()
    store.save(seen("n2"))
    timer.join()
    holder.close()
    assert [one.host for one in store.load("hello/prod")] == ["local", "n2"]
    assert path.stat().st_ino == inode


def test_the_last_look_at_git_is_kept_by_environment(store: ObservedStore, path: Path) -> None:
    assert store.looked_at("hello/prod") is None
    store.note_look("hello/prod", at=AT)
    store.note_look("hello/prod", at=AT + timedelta(minutes=1))
    store.note_look("hello/test", at=AT)
    assert store.looked_at("hello/prod") == AT + timedelta(minutes=1)
    assert store.looked_at("hello/test") == AT
    path.write_bytes(b"damaged")
    assert store.looked_at("hello/prod") is None


def test_when_a_branch_last_answered_is_kept_by_repository_and_ref(store: ObservedStore) -> None:
    assert store.answers() == {}
    later = AT + timedelta(minutes=1)
    for slug, ref, at in (("b", "refs/heads/x", AT), ("a", "refs/heads/x", AT), ("b", "refs/heads/x", later)):
        store.note_answer(slug, ref, url=f"/srv/{slug}", at=at)
    assert store.answers() == {
        ("a", "refs/heads/x"): BranchAnswer(url="/srv/a", at=AT),
        ("b", "refs/heads/x"): BranchAnswer(url="/srv/b", at=later),
    }


def test_the_newest_answer_of_a_host_counts_whoever_asked(path: Path) -> None:
    store, later = ObservedStore(path), AT + timedelta(minutes=1)
    assert store.host_answers() == {}
    silent, well = HostAnswer(answers=False, reason="no route", at=AT), HostAnswer(answers=True, at=later)
    store.note_hosts({"app-1": silent, "app-2": silent, "app-3": well})
    store.save(seen("app-1", at=later))
    store.save(seen("app-1", environment="hello/dev", at=AT - timedelta(days=1)))
    store.save(seen("app-2", at=AT - timedelta(seconds=1)))
    store.save(seen("app-4"))
    store.mark("hello/prod", "app-5", reachable=False, reason="no route")
    assert store.host_answers() == {
        "app-1": well,
        "app-2": silent,
        "app-3": well,
        "app-4": HostAnswer(answers=True, at=AT),
    }
    store.note_hosts({"app-3": silent})
    assert store.host_answers()["app-3"] == silent
