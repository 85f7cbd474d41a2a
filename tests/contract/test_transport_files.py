"""What every host does with files: whole acts, each done or not done."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Coroutine
from pathlib import Path, PurePath
from typing import Any, TypeVar

import pytest

from events.blobs import MemoryBlobStore
from events.kernel.errors import OutsideError, UserError
from events.manifest import FileEntry, FileTree, LiveMount
from projections.transport.port import STATE_IS_LINK, HostFiles
from tests.contract.hosts import Adapter

T = TypeVar("T")

STRANGE = ("plain", "two words", "$(touch gone)", 'it\'s "quoted"', "a\nb", "-rf", "*", "ünïcödé ✓", "a\\b")
HERE = "conf/two words"
ONE = LiveMount(place="web/1", target="/etc/web.conf", file="web.conf", tree="sha256:0")
ALL = LiveMount(place="web/2", target="/etc/web/", file=None, tree="sha256:0")


class Stage:
    """The files of a host, without having to wait."""

    def __init__(self, host: Adapter) -> None:
        self.files: HostFiles = host.transport.files
        self.root = host.root
        self.here = host.here
        self.blobs = MemoryBlobStore()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(work)

    def tree(self, content: dict[str, str], *programs: str) -> FileTree:
        entries = [
            FileEntry(path=path, executable=path in programs, blob=self.blobs.put(text.encode()))
            for path, text in content.items()
        ]
        return FileTree(entries=tuple(entries))

    def put(self, name: str, tree: FileTree) -> None:
        self.do(self.files.put_tree(self.root / name, tree, blobs=self.blobs))

    def live(self, mount: LiveMount, tree: FileTree) -> tuple[str, ...]:
        changed = self.do(self.files.put_live(self.root / "live", mount, tree, blobs=self.blobs))
        assert self.is_live(mount, tree)
        return changed

    def is_live(self, mount: LiveMount, tree: FileTree) -> bool:
        return self.do(self.files.live_is_as_wanted(self.root / "live", mount, tree))


@pytest.fixture
def stage(host: Adapter) -> Stage:
    return Stage(host)


@pytest.mark.parametrize("name", STRANGE)
def test_a_file_is_written_and_read_whatever_its_name(stage: Stage, name: str) -> None:
    path = stage.root / "a" / name / name
    stage.do(stage.files.write(path, b"first", mode=0o600))
    stage.do(stage.files.write(path, b"second", mode=0o644))
    assert stage.do(stage.files.read(path, most=6)) == b"second"
    assert mode(Path(path)) == 0o644
    assert mode(Path(path).parent) == 0o755
    assert names(Path(path).parent) == [name]


def test_a_file_is_private_where_that_is_asked(stage: Stage) -> None:
    stage.do(stage.files.write(stage.root / "secret", b"x", mode=0o600))
    assert mode(stage.here / "secret") == 0o600


def test_a_large_file_arrives_whole(stage: Stage) -> None:
    content = os.urandom(3_000_000)
    stage.do(stage.files.write(stage.root / "large", content, mode=0o644))
    assert stage.do(stage.files.read(stage.root / "large", most=3_000_000)) == content


def test_a_file_that_is_not_there_is_none_and_an_empty_one_is_empty(stage: Stage) -> None:
    (stage.here / "empty").touch()
    assert stage.do(stage.files.read(stage.root / "empty", most=10)) == b""
    assert stage.do(stage.files.read(stage.root / "none", most=10)) is None
    assert stage.do(stage.files.read(stage.root / "no" / "folder", most=10)) is None


def test_what_is_no_file_or_too_large_is_not_read(stage: Stage) -> None:
    (stage.here / "large").write_bytes(b"12345")
    os.mkfifo(stage.here / "pipe")
    for name, number in (("large", errno.EFBIG), ("pipe", errno.EINVAL), ("", errno.EINVAL)):
        with pytest.raises(OSError, match=r"^\[Errno") as caught:
            stage.do(stage.files.read(stage.root / name, most=4))
        assert caught.value.errno == number


def test_all_files_below_a_folder_are_read_at_once(stage: Stage) -> None:
    content: dict[str, bytes | None] = {
        "a.yml": b"a",
        "empty": b"",
        **{f"sub/deeper/{name}": name.encode() for name in STRANGE},
        "large": None,
    }
    for name, value in content.items():
        (stage.here / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        (stage.here / "all" / name).write_bytes(value or b"")
    (stage.here / "all/large").write_bytes(bytes(200))
    (stage.here / "all/.a.yml.0123456789ab").write_text("half")
    (stage.here / "all/.hidden").mkdir()
    (stage.here / "all/.hidden/a.yml").write_text("a")
    (stage.here / "all/link.yml").symlink_to("a.yml")
    (stage.here / "all/around").symlink_to(".")
    os.mkfifo(stage.here / "all/pipe")
    assert stage.do(stage.files.read_folder(stage.root / "all", most=100)) == content
    assert stage.do(stage.files.read_folder(stage.root / "none", most=100)) == {}
    assert stage.do(stage.files.read_folder(stage.root / "all/a.yml", most=100)) == {}


def test_what_cannot_be_written_leaves_nothing_aside(stage: Stage) -> None:
    (stage.here / "taken" / "by a folder").mkdir(parents=True)
    with pytest.raises(OSError, match=r"^\[Errno"):
        stage.do(stage.files.write(stage.root / "taken", b"x", mode=0o644))
    with pytest.raises(OSError, match=r"^\[Errno"):
        stage.do(stage.files.write(stage.root / "taken" / "by a folder", b"x", mode=0o644))
    assert [path.name for path in stage.here.rglob("*")] == ["taken", "by a folder"]


def test_what_broken_writes_of_a_file_left_goes_with_its_next_one(stage: Stage) -> None:
    folder = stage.here / "app"
    (folder / ".tree.0123456789ab").mkdir(parents=True)
    (folder / ".link.0123456789ab").symlink_to("/etc/hostname")
    for kept in (".profile", "fence.0123456789ab", ".fence.0123456789abc", ".compose.yml.ba9876543210"):
        (folder / kept).touch()
    before = {path.name for path in folder.iterdir()}
    for left in (".fence.0123456789ab", ".fence.ba9876543210"):
        (folder / left).write_text("half")
    stage.do(stage.files.write(stage.root / "app/fence", b"whole", mode=0o644))
    assert {path.name for path in folder.iterdir()} == before | {"fence"}


def test_writes_at_the_same_time_leave_one_another_alone(stage: Stage) -> None:
    async def write_all() -> None:
        paths = [stage.root / "app" / f"{number}" for number in range(12)]
        await asyncio.gather(*(stage.files.write(one, one.name.encode(), mode=0o644) for one in paths))

    stage.do(stage.files.write(stage.root / "app/0", b"first", mode=0o644))
    stage.do(write_all())
    assert {path.name: path.read_text() for path in (stage.here / "app").iterdir()} == {
        f"{number}": f"{number}" for number in range(12)
    }


def test_a_tree_stands_complete_and_read_only(stage: Stage) -> None:
    tree = stage.tree({f"d/{name}/f": name for name in STRANGE} | {"run": "#!/bin/sh", "empty": ""}, "run")
    stage.put("files/1", tree)
    for entry in tree.entries:
        path = stage.here / "files/1" / entry.path
        assert path.read_bytes() == stage.blobs.get(entry.blob)
        assert mode(path) == (0o555 if entry.executable else 0o444)
        assert mode(path.parent) == 0o755
    assert names(stage.here / "files") == ["1"]


def test_a_tree_that_is_there_is_left_as_it_is(stage: Stage) -> None:
    stage.put("files/1", stage.tree({"a": "1"}))
    before = (stage.here / "files/1").stat()
    stage.put("files/1", stage.tree({"a": "1"}))
    assert os.path.samestat(before, (stage.here / "files/1").stat())


def test_what_a_killed_run_left_aside_is_taken_away(stage: Stage) -> None:
    (stage.here / "files/.1.0badc0de0bad/half").mkdir(parents=True)
    (stage.here / "files/.2.0badc0de0bad").mkdir()
    (stage.here / "files/.somebody").mkdir()
    stage.put("files/1", stage.tree({"a": "1"}))
    assert sorted(names(stage.here / "files")) == [".somebody", "1"]


def test_a_tree_with_a_lost_blob_is_not_put(stage: Stage) -> None:
    entry = FileEntry(path="b", executable=False, blob=f"sha256:{'0' * 64}")
    tree = FileTree(entries=(*stage.tree({"a": "1"}).entries, entry))
    with pytest.raises(OutsideError, match="blob") as caught:
        stage.put("files/1", tree)
    assert caught.value.code == "blob-missing"
    assert not (stage.here / "files/1").exists()


def test_all_folders_that_are_missing_are_told_at_once(stage: Stage) -> None:
    (stage.here / "there").mkdir()
    (stage.here / "file").touch()
    asked: list[PurePath] = [stage.root / name for name in ("there", "file", "none", "no/way")]
    assert stage.do(stage.files.missing(asked)) == set(asked[1:])
    assert stage.do(stage.files.missing([])) == frozenset()


def test_state_folders_are_made_where_they_are_missing(stage: Stage) -> None:
    for _ in range(2):
        stage.do(stage.files.make_state_folders(stage.root / "state", ["a/b", "a/c d", "e", "a"]))
    assert sorted(str(path.relative_to(stage.here)) for path in stage.here.rglob("*")) == [
        "state",
        "state/a",
        "state/a/b",
        "state/a/c d",
        "state/e",
    ]


@pytest.mark.parametrize("path", ["link", "link/below", "a/link/below"])
def test_no_state_folder_is_entered_through_a_link(stage: Stage, path: str) -> None:
    (stage.here / "state" / path.partition("link")[0]).mkdir(parents=True)
    (stage.here / "elsewhere").mkdir()
    (stage.here / "state" / path.partition("link")[0] / "link").symlink_to(stage.here / "elsewhere")
    with pytest.raises(UserError, match="is a link") as caught:
        stage.do(stage.files.make_state_folders(stage.root / "state", [path]))
    assert caught.value.code == STATE_IS_LINK
    assert names(stage.here / "elsewhere") == []


def test_a_file_stays_in_the_last_place_of_a_state_path_and_nowhere_else(stage: Stage) -> None:
    (stage.here / "state").mkdir()
    (stage.here / "state" / "f").write_text("kept")
    stage.do(stage.files.make_state_folders(stage.root / "state", ["f"]))
    with pytest.raises(OSError, match=r"^\[Errno"):
        stage.do(stage.files.make_state_folders(stage.root / "state", ["f/below"]))
    assert (stage.here / "state" / "f").read_text() == "kept"


def test_a_mounted_file_is_written_over_and_never_replaced(stage: Stage) -> None:
    assert stage.live(ONE, stage.tree({"web.conf": "one"})) == ("/etc/web.conf",)
    mounted = stage.here / "live/web/1/web.conf"
    with mounted.open() as container:
        assert stage.live(ONE, stage.tree({"web.conf": "two is longer"})) == ("/etc/web.conf",)
        assert container.read() == "two is longer"
        assert stage.live(ONE, stage.tree({"web.conf": "two is longer"})) == ()
        container.seek(0)
        assert stage.live(ONE, stage.tree({"web.conf": "3"})) == ("/etc/web.conf",)
        assert container.read() == "3"


def test_a_mounted_file_that_an_editor_replaced_is_put_back(stage: Stage) -> None:
    tree = stage.tree({"web.conf": "one"})
    stage.live(ONE, tree)
    mounted = stage.here / "live/web/1/web.conf"
    with mounted.open() as container:
        mounted.unlink()
        mounted.write_text("one")
        mounted.chmod(0o644)
        assert not stage.is_live(ONE, tree)
        stage.live(ONE, tree)
        assert os.path.samestat(os.fstat(container.fileno()), mounted.stat())


def test_a_mounted_folder_holds_what_is_wanted_and_nothing_else(stage: Stage) -> None:
    stage.live(ALL, stage.tree({"a": "1", "d/b": "2", "old/c": "3"}))
    (stage.here / "live/web/2/left").symlink_to("/etc")
    (stage.here / "live/web/2/d/left").mkdir()
    wanted = stage.tree({"a": "1", "d/b": "changed", "d/e/new": "4"})
    assert not stage.is_live(ALL, wanted)
    assert stage.live(ALL, wanted) == below("d/b", "d/e/new", "d/left", "left", "old")
    assert stage.live(ALL, wanted) == ()
    assert Path("/etc").is_dir()


def below(*paths: str) -> tuple[str, ...]:
    return tuple(f"/etc/web/{path}" for path in paths)


@pytest.mark.parametrize("damage", ["content", "mode", "kind", "more", "less"])
def test_a_live_folder_that_was_changed_by_hand_is_not_as_wanted(stage: Stage, damage: str) -> None:
    tree = stage.tree({"a": "1", "d/b": "2"})
    stage.live(ALL, tree)
    place = stage.here / "live/web/2"
    match damage:
        case "content":
            (place / "a").write_text("2")
        case "mode":
            (place / "a").chmod(0o600)
        case "kind":
            (place / "a").rename(stage.here / "a")
            (place / "a").symlink_to(stage.here / "a")
        case "more":
            (place / "d/more").touch()
        case _:
            (place / "d/b").unlink()
    assert not stage.is_live(ALL, tree)
    stage.live(ALL, tree)


def test_no_live_place_is_entered_through_a_link(stage: Stage) -> None:
    (stage.here / "elsewhere/2").mkdir(parents=True)
    (stage.here / "live").mkdir()
    (stage.here / "live/web").symlink_to(stage.here / "elsewhere")
    assert not stage.is_live(ALL, stage.tree({}))
    stage.live(ALL, stage.tree({"a": "1"}))
    assert not (stage.here / "live/web").is_symlink()
    assert names(stage.here / "elsewhere/2") == []


def test_the_folder_of_a_services_places_is_a_folder(stage: Stage) -> None:
    (stage.here / "live").mkdir()
    (stage.here / "live/web").write_text("in the way")
    stage.do(stage.files.make_live_folder(stage.root / "live", "web"))
    assert (stage.here / "live/web").is_dir()


def test_whatever_stands_there_is_removed_and_no_link_is_followed(stage: Stage) -> None:
    (stage.here / "kept").mkdir()
    (stage.here / "kept/file").touch()
    for name in STRANGE:
        (stage.here / "gone" / name).mkdir(parents=True)
        (stage.here / "gone" / name / "link").symlink_to(stage.here / "kept")
    (stage.here / "file").touch()
    (stage.here / "link").symlink_to(stage.here / "kept")
    for name in ("gone", "file", "link", "never"):
        stage.do(stage.files.remove(stage.root / name))
    assert names(stage.here) == ["kept"]
    assert names(stage.here / "kept") == ["file"]


def names(folder: PurePath) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
