"""Paths are resolved and compared by their parts."""

from __future__ import annotations

import pytest

from events.kernel.errors import UserError
from gitops.source.paths import PATH_ESCAPES, inside, join, parent, resolve, shown


@pytest.mark.parametrize(
    ("folder", "text", "expected"),
    [
        ("", "a", "a"),
        ("", "./a//b/.", "a/b"),
        ("", ".", ""),
        ("app", "", "app"),
        ("app", "../shared/x.yml", "shared/x.yml"),
        ("app/deep", "../../x", "x"),
        ("app", "../app", "app"),
        ("", "a/link/../b", "a/b"),
        ("", "..a/b..", "..a/b.."),
    ],
)
def test_relative_paths_start_in_the_folder_that_names_them(folder: str, text: str, expected: str) -> None:
    assert resolve(folder, text) == expected


@pytest.mark.parametrize("text", ["..", "../x", "a/../../x", "/etc/passwd", "//x", "a\0b", "a\nb", "a\rb"])
def test_a_path_that_leaves_the_root_is_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve("", text)
    assert caught.value.code == PATH_ESCAPES


def test_a_name_with_the_folders_name_as_prefix_is_not_inside_it() -> None:
    assert inside("app", "app-evil/x") is None
    assert inside("app", "app/x") == "x"
    assert inside("app", "app") == ""
    assert inside("", "x/y") == "x/y"


def test_join_and_parent_know_the_root() -> None:
    assert (join("", "x"), join("a", "x")) == ("x", "a/x")
    assert (parent("x"), parent("a/b/x")) == ("", "a/b")


def test_a_shown_path_has_no_control_characters_and_an_end() -> None:
    assert shown("a\x1b[31mred\nline\u202e") == "ared line"
    assert len(shown("x" * 10_000)) == 201
    assert shown("caf\udce9") == "caf\\udce9"
