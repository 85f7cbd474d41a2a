"""When a render is known."""

from __future__ import annotations

from pathlib import Path

from gitops.renderkey import ROOT, inputs_of, render_key, renderer, same_inputs
from gitops.source.worktree import WorkTree
from tests.unit.gitops.trees import tree_of, write


def test_inputs_are_the_ids_of_what_is_there_and_nothing_for_what_is_not(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"a": "", "d/x": "1"})
    inputs = inputs_of(tree, ["d", "a", "gone", "a"])
    assert inputs == {"a": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", "d": tree.object_id("d"), "gone": None}
    assert list(inputs) == ["a", "d", "gone"]


def test_the_same_files_are_the_same_inputs(tmp_path: Path) -> None:
    inputs = inputs_of(tree_of(tmp_path / "1", {"a": "x", "d/y": "1"}), ["a", "d", "gone"])
    assert same_inputs(inputs, tree_of(tmp_path / "2", {"a": "x", "d/y": "1", "unrelated": "z"}))


def test_every_kind_of_change_is_another_input(tmp_path: Path) -> None:
    paths = ["a", "d", "gone"]
    inputs = inputs_of(tree_of(tmp_path / "old", {"a": "x", "d/y": "1"}), paths)

    def changed(name: str, files: dict[str, str | bytes]) -> WorkTree:
        return tree_of(tmp_path / name, {"a": "x", "d/y": "1", **files})

    executable, linked = changed("4", {}), changed("5", {})
    (tmp_path / "4/a").chmod(0o755)
    (tmp_path / "5/a").unlink()
    (tmp_path / "5/a").symlink_to("x")  # a link's content is the text it leads to: the same blob
    trees = [
        changed("1", {"a": "z"}),
        changed("2", {"d/y": "2"}),
        changed("3", {"gone": ""}),
        executable,
        linked,
    ]
    assert [same_inputs(inputs, tree) for tree in trees] == [False] * 5


def test_the_root_stands_for_every_file(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"a": "x"})
    inputs = inputs_of(tree, [ROOT])
    assert same_inputs(inputs, tree)
    write(tmp_path, {"b/c": ""})
    assert not same_inputs(inputs, tree)


def test_a_path_behind_a_link_counts_as_absent(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"real/x": ""})
    (tmp_path / "l").symlink_to("real")
    assert inputs_of(tree, ["l/x"]) == {"l/x": None}


def test_the_key_covers_inputs_and_renderer() -> None:
    keys = {render_key({"a": "1"}, "r1"), render_key({"a": None}, "r1"), render_key({"a": "1"}, "r2")}
    assert len(keys) == 3
    assert render_key({"a": "1", "b": None}, "r") == render_key({"b": None, "a": "1"}, "r")


def test_the_renderer_names_the_client() -> None:
    assert renderer().startswith("stagecraft-3+compose-5.")
