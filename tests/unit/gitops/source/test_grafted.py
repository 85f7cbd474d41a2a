"""A tree with other repositories' files in it: each reached by its own folder alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.kernel.errors import UserError
from gitops.grafts import GRAFTS
from gitops.source.grafted import GraftedTree
from gitops.source.tree import FILE_TOO_LARGE, PATH_IS_LINK, PATH_MISSING
from tests.unit.gitops.trees import tree_of

ONE, OTHER = f"{GRAFTS}/one@{'1' * 40}", f"{GRAFTS}/other@{'2' * 40}"


@pytest.fixture
def tree(tmp_path: Path) -> GraftedTree:
    base = tree_of(tmp_path / "base", {"a": "base", "b/c": "base"})
    one = tree_of(tmp_path / "one", {"a": "one", "b/c": "one", "b/d": "one"})
    (tmp_path / "one/link").symlink_to("/etc/passwd")
    return GraftedTree(base, {ONE: one, OTHER: tree_of(tmp_path / "other", {"x": "other"})})


@pytest.mark.parametrize(
    ("path", "content"), [("a", b"base"), ("b/c", b"base"), (f"{ONE}/a", b"one"), (f"{OTHER}/x", b"other")]
)
def test_a_path_is_read_where_it_stands(tree: GraftedTree, path: str, content: bytes) -> None:
    assert tree.read(path, max_bytes=10) == content
    entry, named = tree.entry(path), tree.named(path)
    assert entry is not None
    assert named == (entry.kind, entry.object_id)
    assert tree.object_id(path) == entry.object_id


@pytest.mark.parametrize(
    "path",
    [
        *(
            "x",
            GRAFTS,
            f"{GRAFTS}/",
            f"{GRAFTS}/gone@{'3' * 40}",
            f"{GRAFTS}/gone@{'3' * 40}/a",
            f"{OTHER}/a",
        ),
        *(f"{ONE}/x", f"{ONE}/../a", f"{ONE}//a", f"{ONE}/./a", f"./{ONE}/a", f"{ONE[:-1]}/a", f"{ONE}1/a"),
    ],
)
def test_nothing_else_is_there(tree: GraftedTree, path: str) -> None:
    assert tree.entry(path) is None
    assert tree.named(path) is None
    assert tree.object_id(path) is None
    assert tree.walk(path) == []
    with pytest.raises(UserError) as caught:
        tree.read(path, max_bytes=10)
    assert caught.value.code == PATH_MISSING


def test_a_walk_stays_in_its_repository(tree: GraftedTree) -> None:
    assert [path for path, _entry in tree.walk("")] == ["a", "b/c"]
    assert [path for path, _entry in tree.walk(f"{ONE}/b")] == [f"{ONE}/b/c", f"{ONE}/b/d"]
    assert [path for path, _entry in tree.walk(OTHER)] == [f"{OTHER}/x"]


def test_an_error_says_which_repository(tree: GraftedTree) -> None:
    for path, code in ((f"{ONE}/a", FILE_TOO_LARGE), (f"{ONE}/link", PATH_IS_LINK)):
        with pytest.raises(UserError) as caught:
            tree.read(path, max_bytes=1)
        assert caught.value.code == code
        assert caught.value.message.endswith(f"(in one@{'1' * 40})")
