"""A work tree has Git's ids and follows no link."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from typing_extensions import override

from events.kernel.errors import UserError
from gitops.source.tree import (
    FILE_TOO_LARGE,
    PATH_IS_LINK,
    PATH_MISSING,
    PATH_NOT_FILE,
    TREE_TOO_LARGE,
    Tree,
)
from gitops.source.worktree import WorkTree
from tests.unit.gitops.trees import tree_of, write

EMPTY_BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"  # Git's well-known name of no bytes


def code_of(tree: Tree, path: str, *, max_bytes: int = 100) -> str:
    with pytest.raises(UserError) as caught:
        tree.read(path, max_bytes=max_bytes)
    return caught.value.code


def test_entries_tell_kind_size_and_id(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"a/b.sh": "", "a/c": "four"})
    (tmp_path / "a/b.sh").chmod(0o755)
    entry = tree.entry("a/b.sh")
    assert entry is not None
    assert (entry.kind, entry.object_id, entry.size_bytes) == ("executable", EMPTY_BLOB, 0)
    folder, root, file = tree.entry("a"), tree.entry(""), tree.entry("a/c")
    assert folder is not None
    assert root is not None
    assert file is not None
    assert (folder.kind, root.kind, file.kind, file.size_bytes) == ("folder", "folder", "file", 4)


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"a": "x"})
    assert tree.entry("b") is None
    assert tree.entry("a/b") is None
    assert tree.entry("a/b/c") is None
    assert tree.object_id("b/c") is None
    assert tree.walk("b") == []
    assert tree.walk("a") == []


def test_a_file_is_read_within_its_limit(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"a/b": "12345", "empty": ""})
    assert tree.read("a/b", max_bytes=5) == b"12345"
    assert tree.read("empty", max_bytes=0) == b""
    assert code_of(tree, "a/b", max_bytes=4) == FILE_TOO_LARGE


def test_a_folder_and_a_missing_file_cannot_be_read(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"a/b": "x"})
    assert code_of(tree, "a") == PATH_NOT_FILE
    assert code_of(tree, "c") == PATH_MISSING


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "loop", "nowhere", "real"])
def test_no_link_is_followed_wherever_it_leads(tmp_path: Path, target: str) -> None:
    tree = tree_of(tmp_path, {"real": "secret"})
    (tmp_path / "loop").symlink_to(target)
    assert code_of(tree, "loop") == PATH_IS_LINK


def test_a_link_on_the_way_is_refused_by_its_name(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"real/f": "x"})
    (tmp_path / "linked").symlink_to("real")
    with pytest.raises(UserError, match="linked is a symbolic link") as caught:
        tree.entry("linked/f")
    assert caught.value.code == PATH_IS_LINK
    assert tree.object_id("linked/f") is None


def test_a_file_that_becomes_a_link_after_the_check_is_not_read(tmp_path: Path) -> None:
    class Swapping(WorkTree):
        """Puts a link in the place of the file just before it is opened."""

        @override
        @contextlib.contextmanager
        def _opened(self, path: str) -> Generator[int]:
            (tmp_path / path).unlink(missing_ok=True)
            (tmp_path / path).symlink_to("/etc/hostname")
            with super()._opened(path) as file:
                yield file

    write(tmp_path, {"a/b": "x"})
    with pytest.raises(OSError, match="symbolic links"):
        Swapping(tmp_path).read("a/b", max_bytes=10)


def test_walk_lists_files_and_links_but_no_folders_and_no_repository(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"d/z": "1", "d/a/x": "2", ".git/config": "3", "d/.hidden": "4"})
    (tmp_path / "d/l").symlink_to("z")
    assert [(path, entry.kind) for path, entry in tree.walk("")] == [
        ("d/.hidden", "file"),
        ("d/a/x", "file"),
        ("d/l", "link"),
        ("d/z", "file"),
    ]


def test_walk_has_a_limit(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {f"d/{number}": "" for number in range(5)})
    assert len(tree.walk("d", max_entries=5)) == 5
    with pytest.raises(UserError) as caught:
        tree.walk("d", max_entries=4)
    assert caught.value.code == TREE_TOO_LARGE


def test_only_known_files_are_seen(tmp_path: Path) -> None:
    write(tmp_path, {"kept/a": "1", "kept/ignored": "2", "junk/b": "3"})
    tree = WorkTree(tmp_path, known=frozenset({"kept/a", "kept/gone"}))
    assert [path for path, _ in tree.walk("")] == ["kept/a"]
    assert tree.entry("junk") is None
    assert tree.entry("kept/ignored") is None
    assert tree.entry("kept/gone") is None


def test_a_socket_or_pipe_is_no_file_of_a_tree(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert WorkTree(tmp_path).entry("pipe") is None
    assert WorkTree(tmp_path).walk("") == []


def test_an_empty_folder_does_not_count_as_git_has_none(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"a/b": "x"})
    before = tree.object_id("")
    (tmp_path / "empty/within").mkdir(parents=True)
    assert tree.object_id("") == before
