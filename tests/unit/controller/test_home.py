"""Which folder holds the state, and that it is private."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.home import Home, locate_home
from events.kernel.errors import OutsideError


def test_the_flag_wins_over_the_variable(tmp_path: Path) -> None:
    home = locate_home("here", environ={"STAGECRAFT_HOME": "/elsewhere"}, cwd=tmp_path)
    assert home.root == tmp_path / "here"


def test_the_variable_wins_over_the_project(tmp_path: Path) -> None:
    (tmp_path / "stagecraft.yml").touch()
    home = locate_home(None, environ={"STAGECRAFT_HOME": str(tmp_path / "var")}, cwd=tmp_path)
    assert home.root == tmp_path / "var"


def test_the_home_stands_beside_the_nearest_project_file_upwards(tmp_path: Path) -> None:
    (tmp_path / "stagecraft.yml").touch()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert locate_home(None, environ={}, cwd=below).root == tmp_path / ".stagecraft"


def test_without_a_project_it_is_in_the_current_folder(tmp_path: Path) -> None:
    assert locate_home(None, environ={}, cwd=tmp_path).root == tmp_path / ".stagecraft"


def test_looking_makes_nothing_and_creating_makes_it_private_and_ignored(tmp_path: Path) -> None:
    home = locate_home(None, environ={}, cwd=tmp_path)
    assert not home.root.exists()
    home.create()
    home.create()
    assert home.root.stat().st_mode & 0o777 == 0o700
    assert (home.root / ".gitignore").read_text() == "*\n"


def test_a_home_that_cannot_be_made_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutsideError) as caught:
        Home(tmp_path / "file" / "home").create()
    assert caught.value.code == "home-unusable"
    assert "--home" in caught.value.next


def test_the_binding_key_is_made_once_and_private(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    first = home.binding_key()
    assert (len(first), home.binding_key()) == (32, first)
    (file,) = home.keys.iterdir()
    assert (file.stat().st_mode & 0o777, home.keys.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_home_without_room_for_a_key_goes_on_without(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")
    assert Home(tmp_path).binding_key() == b""


def test_who_only_looks_makes_no_key(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert home.known_binding_key() == b""
    assert not home.root.exists()
    key = home.binding_key()
    assert home.known_binding_key() == key
