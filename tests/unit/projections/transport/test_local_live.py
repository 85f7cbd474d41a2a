"""Files that change in place under containers that have them mounted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from events.blobs import MemoryBlobStore
from events.manifest import FileEntry, FileTree, LiveMount
from projections.transport.local_live import is_as_wanted, put

FILE = LiveMount(place="web/0a", target="/etc/app.conf", file="app.conf", tree="")
FOLDER = LiveMount(place="web/0b", target="/conf/", file=None, tree="")


class Place:
    """One mount and what is written to it."""

    def __init__(self, root: Path, mount: LiveMount) -> None:
        self.root = root
        self.mount = mount
        self.blobs = MemoryBlobStore()
        self.slot = root / mount.place

    def tree(self, *programs: str, **files: str) -> FileTree:
        """Files by name, `__` for `/` and `_` for `.`; those that are `programs` can be executed."""
        named = {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}
        return FileTree(
            entries=tuple(
                FileEntry(path=path, executable=path in programs, blob=self.blobs.put(text.encode()))
                for path, text in named.items()
            )
        )

    def put(self, *programs: str, **files: str) -> tuple[str, ...]:
        """Write, and see that it is so; what had been otherwise."""
        tree = self.tree(*programs, **files)
        right = is_as_wanted(self.root, self.mount, tree)
        changed = put(self.root, self.mount, tree, blobs=self.blobs)
        assert right <= (changed == ())
        assert is_as_wanted(self.root, self.mount, tree)
        assert put(self.root, self.mount, tree, blobs=self.blobs) == ()
        return changed


@pytest.fixture
def file(tmp_path: Path) -> Place:
    return Place(tmp_path / "reload", FILE)


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    return Place(tmp_path / "reload", FOLDER)


def test_a_single_file_stays_the_same_file(file: Place) -> None:
    assert file.put(app_conf="one, and more") == ("/etc/app.conf",)
    path = file.slot / "app.conf"
    before, mounted = path.stat().st_ino, path.open()
    with mounted:
        assert file.put(app_conf="two") == ("/etc/app.conf",)
        assert mounted.read() == "two"
        assert file.put("app.conf", app_conf="three, longer than ever") == ("/etc/app.conf",)
        mounted.seek(0)
        assert mounted.read() == "three, longer than ever"
    assert path.stat().st_ino == before
    assert path.stat().st_mode & 0o777 == 0o755


def test_a_file_that_an_editor_replaced_is_put_back_as_the_one_that_is_mounted(file: Place) -> None:
    file.put(app_conf="one")
    path = file.slot / "app.conf"
    before, mounted = path.stat().st_ino, path.open()
    edited = file.slot / "edited"
    edited.write_text("by hand")
    edited.replace(path)
    assert not is_as_wanted(file.root, FILE, file.tree(app_conf="by hand"))
    with mounted:
        file.put(app_conf="two")
        assert mounted.read() == "two"
    assert path.stat().st_ino == before


@pytest.mark.parametrize("kept", [True, False])
def test_a_removed_file_comes_back(file: Place, kept: bool) -> None:  # noqa: FBT001  # a case
    file.put(app_conf="one")
    (file.slot / "app.conf").unlink()
    if not kept:
        (file.root / "web/0a.kept").unlink()
    file.put(app_conf="one")
    assert (file.slot / "app.conf").read_text() == "one"


def test_a_link_is_never_followed(file: Place, folder: Place, tmp_path: Path) -> None:
    victim, elsewhere = tmp_path / "victim", tmp_path / "elsewhere"
    victim.write_text("mine")
    elsewhere.mkdir()
    (elsewhere / "a").write_text("mine")
    file.put(app_conf="one")
    folder.put(a="one", b__c="one")
    for path in (file.slot / "app.conf", file.root / "web/0a.kept", folder.slot / "a"):
        path.unlink()
        path.symlink_to(victim)
    (folder.slot / "b/c").unlink()
    (folder.slot / "b").rmdir()
    (folder.slot / "b").symlink_to(elsewhere)
    file.put(app_conf="two")
    folder.put(a="two", b__c="two")
    assert victim.read_text() == "mine"
    assert [path.name for path in elsewhere.iterdir()] == ["a"]
    assert (folder.slot / "b/c").read_text() == "two"
    slot = folder.slot.rename(folder.root / "moved")
    folder.slot.symlink_to(slot)
    assert not is_as_wanted(folder.root, FOLDER, folder.tree(a="two", b__c="two"))
    folder.put(a="three")
    assert (slot / "a").read_text() == "two"


def test_a_folder_gets_what_is_new_and_loses_what_is_gone(folder: Place) -> None:
    assert folder.put(a="1", b__c="1", b__d="1") == ("/conf/a", "/conf/b/c", "/conf/b/d")
    inode = folder.slot.stat().st_ino
    assert folder.put("a", a="1", b__c="2", e__f__g="1") == (
        "/conf/a",
        "/conf/b/c",
        "/conf/b/d",
        "/conf/e/f/g",
    )
    assert folder.slot.stat().st_ino == inode
    assert {str(path.relative_to(folder.slot)) for path in folder.slot.rglob("*") if path.is_file()} == {
        "a",
        "b/c",
        "e/f/g",
    }
    assert folder.put() == ("/conf/a", "/conf/b", "/conf/e")


def test_within_a_folder_a_file_may_become_a_folder_and_the_other_way(folder: Place) -> None:
    folder.put(a="1", b__c="1")
    folder.put(a__c="1", b="1")
    assert (folder.slot / "a/c").read_text() == (folder.slot / "b").read_text() == "1"


def test_a_file_of_a_folder_is_exchanged_whole(folder: Place) -> None:
    folder.put(a="one")
    with (folder.slot / "a").open() as reader:
        folder.put(a="two")
        assert reader.read() == "one"


@pytest.mark.parametrize("harm", ["content", "mode", "extra", "missing", "pipe"])
def test_what_somebody_changed_is_seen_and_put_right(folder: Place, harm: str) -> None:
    folder.put(a="1", b__c="1")
    path = folder.slot / "b/c"
    if harm in {"missing", "pipe"}:
        path.unlink()
    if harm == "content":
        path.write_text("2")
    if harm == "mode":
        path.chmod(0o600)
    if harm == "extra":
        (folder.slot / "b/more").mkdir()
    if harm == "pipe":
        os.mkfifo(path)
    assert not is_as_wanted(folder.root, FOLDER, folder.tree(a="1", b__c="1"))
    folder.put(a="1", b__c="1")
    assert path.stat().st_mode & 0o777 == 0o644


def test_nothing_is_there_before_it_is_written(file: Place) -> None:
    assert not is_as_wanted(file.root, FILE, file.tree(app_conf="1"))
    assert not file.root.exists()
