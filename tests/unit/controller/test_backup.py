"""Backup and restore: whole while others write, checked before it counts, and never over what is there."""

from __future__ import annotations

import fcntl
import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.backup import Made, backup_path, make_backup
from controller.backup_file import unpack
from controller.holders import this_process
from controller.home import Home
from controller.restoring import Restored, Trust, restore
from events.actors import SqliteActorDirectory
from events.blobs import FileBlobStore
from events.kernel.errors import OutsideError, StagecraftError, UserError
from events.sqlite import SqliteEventLog
from tests.support.disks import Disk, mounted
from tests.support.time import CountingIds
from tests.unit.projections.views.history import History

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = datetime(2026, 1, 2, 4, 0, 0, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a log, names, a blob, settings and a key."""
    made = Home(tmp_path / "home")
    made.create()
    with closing(SqliteEventLog(made.events_db)) as log:
        history = History(log)
        history.deployed("a")
        history.deployed("b")
    with closing(SqliteActorDirectory(made.actors_db)) as actors:
        actors.pseudonym("cli", "Ann")
    FileBlobStore(made.blobs).put(b"a file")
    made.controller_file.write_text("repositories: {}\n")
    made.keys.mkdir(mode=0o700)
    (made.keys / "binding.key").write_bytes(b"secret")
    return made


def backed_up(home: Home, path: Path, *, names: bool = True, keys: bool = False) -> Made:
    return make_backup(home, path, now=NOW, names=names, keys=keys)


def restored(
    file: Path, root: Path, *, replace: bool = False, trust: Trust | None = None, now: datetime = LATER
) -> Restored:
    return restore(Home(root), file, now=now, replace=replace, trust=trust or Trust())


def refusal(kind: type[StagecraftError], file: Path, root: Path, *, replace: bool = False) -> StagecraftError:
    with pytest.raises(kind) as raised:
        restored(file, root, replace=replace)
    return raised.value


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def suspended(log: SqliteEventLog) -> None:
    history = History(log, environment="stage")
    history.ids = CountingIds(LATER)
    history.suspended()


def events_of(home: Home) -> list[object]:
    with closing(SqliteEventLog(home.events_db)) as log:
        return [log.lineage, log.anchor(), *log.rows()]


def test_what_was_backed_up_comes_back_and_nothing_else(home: Home, tmp_path: Path) -> None:
    (home.root / "views.db").write_bytes(b"of yesterday")
    made = backed_up(home, tmp_path / "b.tar")
    assert (made.manifest.position, made.manifest.problem, made.damaged) == (8, None, ())
    assert made.path.stat().st_mode & 0o777 == 0o600
    done = restored(made.path, tmp_path / "other")
    other = Home(tmp_path / "other")
    assert (done.log.position, done.log.problem, done.set_aside) == (8, None, None)
    assert events_of(other) == events_of(home)
    assert everything(other.blobs) == everything(home.blobs)
    assert other.controller_file.read_text() == "repositories: {}\n"
    with closing(sqlite3.connect(other.actors_db)) as names:
        assert names.execute("SELECT name FROM actors").fetchall() == [("Ann",)]
    present = {path.name for path in other.root.iterdir()}
    assert present <= {
        "events.db",
        "events.db.turns",
        "actors.db",
        "blobs",
        "controller.yml",
        "run",
        ".gitignore",
    }


def test_a_restored_log_takes_new_events(home: Home, tmp_path: Path) -> None:
    restored(backed_up(home, tmp_path / "b.tar").path, tmp_path / "other")
    with closing(SqliteEventLog(tmp_path / "other" / "events.db")) as log:
        suspended(log)
        assert log.head() == 9


def test_keys_are_in_it_only_when_asked_for_and_names_unless_not(home: Home, tmp_path: Path) -> None:
    plain = backed_up(home, tmp_path / "plain.tar")
    assert (plain.manifest.keys, plain.manifest.names) == (False, True)
    assert b"secret" not in plain.path.read_bytes()
    full = backed_up(home, tmp_path / "full.tar", keys=True, names=False)
    assert (full.manifest.keys, full.manifest.names) == (True, False)
    assert b"Ann" not in full.path.read_bytes()
    restored(full.path, tmp_path / "other")
    assert everything(tmp_path / "other" / "keys") == {"binding.key": b"secret"}
    assert (tmp_path / "other" / "keys" / "binding.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "other" / "keys").stat().st_mode & 0o777 == 0o700


def test_nothing_is_overwritten_by_a_backup(home: Home, tmp_path: Path) -> None:
    made = backed_up(home, tmp_path / "b.tar")
    before = made.path.read_bytes()
    with pytest.raises(UserError, match="is there already"):
        backup_path(home, made.path, folder=False, now=NOW)
    with pytest.raises(UserError, match="is there already"):
        backed_up(home, made.path)
    assert made.path.read_bytes() == before
    assert backup_path(home, tmp_path, folder=True, now=NOW) == tmp_path / "stagecraft-20260102T030405Z.tar"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "home"]


def test_a_home_without_a_log_has_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        backup_path(Home(tmp_path / "none"), tmp_path, folder=True, now=NOW)
    assert raised.value.code == "nothing-recorded"
    assert not (tmp_path / "none").exists()


def test_where_a_backup_cannot_be_written_nothing_of_it_is_left(home: Home, tmp_path: Path) -> None:
    with pytest.raises(OutsideError) as raised:
        backed_up(home, tmp_path / "missing" / "b.tar")
    assert raised.value.code == "backup-failed"
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_damaged_blob_is_copied_as_it_is_and_named(home: Home, tmp_path: Path) -> None:
    (blob,) = (path for path in home.blobs.rglob("*") if path.is_file())
    blob.write_bytes(b"another file")
    made = backed_up(home, tmp_path / "b.tar")
    assert [one.removeprefix("sha256:") for one in made.damaged] == [blob.parent.name + blob.name]
    assert "blob" in refusal(OutsideError, made.path, tmp_path / "other").why


def test_a_home_with_a_log_is_left_alone_unless_asked_for(home: Home, tmp_path: Path) -> None:
    made = backed_up(home, tmp_path / "b.tar")
    before = everything(home.root)
    assert refusal(UserError, made.path, home.root).code == "home-has-log"
    assert everything(home.root) == before


def test_what_is_replaced_is_set_aside_whole(home: Home, tmp_path: Path) -> None:
    made = backed_up(home, tmp_path / "b.tar")
    with closing(SqliteEventLog(home.events_db)) as log:
        suspended(log)
        before = everything(home.root)  # with a write-ahead log that somebody has open
        done = restored(made.path, home.root, replace=True)
    assert done.set_aside is not None
    aside = everything(done.set_aside)
    assert {
        name: before[name] for name in ("events.db", "events.db-wal", "actors.db")
    }.items() <= aside.items()
    assert len(events_of(home)) == 2 + 8
    assert len(events_of(Home(done.set_aside))) == 2 + 9
    assert everything(home.keys) == {"binding.key": b"secret"}


def test_a_log_that_is_garbage_is_replaced_and_kept(home: Home, tmp_path: Path) -> None:
    made = backed_up(home, tmp_path / "b.tar")
    home.events_db.write_bytes(b"no database")
    done = restored(made.path, home.root, replace=True)
    assert done.set_aside is not None
    assert (done.set_aside / "events.db").read_bytes() == b"no database"
    assert len(events_of(home)) == 2 + 8


def test_a_home_that_somebody_works_with_is_not_replaced(home: Home, tmp_path: Path) -> None:
    made = backed_up(home, tmp_path / "b.tar")
    with (home.run / "controller-shop.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        json.dump({"since": "now", "purpose": "controller run of shop", **this_process()}, lock)
        lock.flush()
        error = refusal(OutsideError, made.path, home.root, replace=True)
    assert error.code == "home-in-use"
    assert f"process {os.getpid()}, controller run of shop" in error.message


def test_two_restores_of_one_home_exclude_each_other_and_a_killed_one_is_swept(
    home: Home, tmp_path: Path
) -> None:
    made = backed_up(home, tmp_path / "b.tar")
    other = Home(tmp_path / "other")
    other.create()
    (other.root / ".restoring-left").mkdir()
    with (other.run / "restore.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another restore" in refusal(OutsideError, made.path, other.root).message
        assert (other.root / ".restoring-left").exists()
    restored(made.path, other.root)
    assert not (other.root / ".restoring-left").exists()


def test_a_home_on_a_full_disk_can_be_backed_up_to_another(home: Home, disk: Disk, tmp_path: Path) -> None:
    restored(backed_up(home, tmp_path / "b.tar").path, disk.folder / "home")
    disk.fill()
    made = backed_up(Home(disk.folder / "home"), tmp_path / "c.tar")
    assert (made.manifest.position, made.manifest.problem) == (8, None)


def test_every_part_of_a_backup_is_checked(home: Home, tmp_path: Path) -> None:
    whole = backed_up(home, tmp_path / "b.tar").path.read_bytes()
    with tarfile.open(tmp_path / "b.tar") as archive:
        members = archive.getmembers()
    damaged = tmp_path / "damaged.tar"
    for member in members:
        for place in (member.offset, member.offset_data, member.offset_data + member.size - 1):
            content = bytearray(whole)
            content[place] ^= 1
            damaged.write_bytes(content)
            error = refusal(OutsideError, damaged, tmp_path / "other")
            assert error.code in {"backup-damaged", "backup-too-new"}, (member.name, place)
            assert not (tmp_path / "other" / "events.db").exists()
    assert not [path for path in (tmp_path / "other").iterdir() if path.name.startswith(".restoring")]


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.9, 0.97])
def test_a_backup_that_was_cut_off_is_refused(home: Home, tmp_path: Path, part: float) -> None:
    whole = backed_up(home, tmp_path / "b.tar").path.read_bytes()
    with tarfile.open(tmp_path / "b.tar") as archive:
        end = archive.getmembers()[-1].offset_data
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole[: int(end * part)])
    assert refusal(OutsideError, cut, tmp_path / "other").code == "backup-damaged"


def test_garbage_is_refused_and_so_is_what_would_be_written_elsewhere(home: Home, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(os.urandom(5000))
    assert refusal(OutsideError, garbage, tmp_path / "other").code == "backup-damaged"
    assert refusal(OutsideError, tmp_path / "missing", tmp_path / "other").code == "backup-damaged"
    assert refusal(OutsideError, tmp_path, tmp_path / "other").code == "backup-damaged"
    sly = tmp_path / "sly.tar"
    with tarfile.open(sly, "w") as archive:
        about = tarfile.TarInfo("blobs/../../escaped")
        about.size = 1
        archive.addfile(about, io.BytesIO(b"x"))
    assert "does not belong" in refusal(OutsideError, sly, tmp_path / "other").why
    assert not (tmp_path / "escaped").exists()
    assert home.events_db.is_file()


def test_a_log_that_does_not_verify_is_backed_up_and_restored_only_when_asked_for(
    home: Home, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(home.events_db)) as database:
        database.execute("DROP TRIGGER events_are_not_updated")
        database.execute("UPDATE events SET actor = 'cli:act-2' WHERE position = 3")
        database.commit()
    made = backed_up(home, tmp_path / "b.tar")
    assert made.manifest.problem is not None
    assert (made.manifest.problem["kind"], made.manifest.problem["position"]) == ("actor", 3)
    assert "actor at position 3" in refusal(OutsideError, made.path, tmp_path / "other").why
    done = restored(made.path, tmp_path / "other", trust=Trust(broken=True))
    assert done.log.problem == made.manifest.problem


def test_a_backup_can_be_checked_without_being_unpacked(home: Home, tmp_path: Path) -> None:
    made = backed_up(home, tmp_path / "b.tar")
    assert unpack(made.path, None) == made.manifest


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk that holds the home twice over."""
    with mounted(tmp_path / "disk", size_bytes=4 * 1024 * 1024) as made:
        yield made


def test_on_a_full_disk_no_part_of_a_backup_is_left(home: Home, disk: Disk) -> None:
    disk.fill()
    with pytest.raises(OutsideError) as raised:
        backed_up(home, disk.folder / "b.tar")
    assert raised.value.code in {"backup-failed", "copy-failed"}
    assert "room" in raised.value.next
    assert [path.name for path in disk.folder.iterdir()] == ["ballast"]
    disk.make_room()
    assert backed_up(home, disk.folder / "b.tar").manifest.position == 8


def test_on_a_disk_that_fills_up_meanwhile_no_part_of_a_backup_is_left(home: Home, disk: Disk) -> None:
    FileBlobStore(home.blobs).put(os.urandom(5 * 1024 * 1024))
    with pytest.raises(OutsideError) as raised:
        backed_up(home, disk.folder / "b.tar")
    assert raised.value.code == "backup-failed"
    assert not list(disk.folder.iterdir())


def test_on_a_full_disk_a_restore_leaves_the_home_as_it_was(home: Home, disk: Disk, tmp_path: Path) -> None:
    FileBlobStore(home.blobs).put(os.urandom(1024 * 1024))
    made = backed_up(home, tmp_path / "b.tar")
    there = Home(disk.folder / "home")
    restored(made.path, there.root)
    (disk.folder / "ballast").write_bytes(bytes(2 * 1024 * 1024))
    before = everything(there.root)
    error = refusal(OutsideError, made.path, there.root, replace=True)
    assert error.code == "restore-failed"
    assert everything(there.root) == before
    disk.make_room()
    assert restored(made.path, there.root, replace=True).set_aside is not None


def test_a_read_only_disk_takes_neither_backup_nor_restore(home: Home, disk: Disk, tmp_path: Path) -> None:
    made = backed_up(home, tmp_path / "b.tar")
    disk.set_read_only(yes=True)
    with pytest.raises(OutsideError, match="nothing of it was left behind"):
        backed_up(home, disk.folder / "b.tar")
    assert refusal(OutsideError, made.path, disk.folder / "home").code == "home-unusable"
