"""Where a demo lives: only where nothing is, on record from the first moment, gone at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.demo.place import find_place, new_place
from controller.demo.shop import Shop
from controller.holders import Identity
from controller.home import Home
from events.kernel.errors import OutsideError, UserError

SHOP = Shop(project="shop-1234", port=4321)


def refused(home: Home) -> str:
    with pytest.raises(UserError) as caught:
        new_place(home, SHOP)
    return caught.value.code


def test_a_place_is_found_again_as_it_was_made(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    made = new_place(home, SHOP).with_controller(Identity(pid=7, start=8, boot="b"))
    assert find_place(home) == made
    assert made.made_home


def test_a_home_that_the_demo_made_goes_with_everything_in_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    place = new_place(home, SHOP)
    (home.root / "events.db").write_text("log")
    place.clear()
    assert not home.root.exists()


def test_an_empty_home_stays_and_is_empty_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    place = new_place(home, SHOP)
    (home.root / "events.db").write_text("log")
    (home.root / "link").symlink_to("/etc")
    assert not place.made_home
    place.clear()
    assert list(tmp_path.iterdir()) == []
    assert Path("/etc").is_dir()


def test_a_home_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert refused(Home(tmp_path)) == "demo-home-in-use"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert refused(Home(tmp_path / "file")) == "demo-home-in-use"


def test_a_second_demo_in_one_home_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    new_place(home, SHOP)
    assert refused(home) == "demo-exists"


def test_where_no_demo_lives_none_is_found(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_place(Home(tmp_path))
    assert caught.value.code == "demo-not-found"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"project": 1, "port": 1, "made_home": 1, "controller": 3}']
)
def test_a_damaged_record_is_told_and_nothing_is_guessed(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path / "home")
    place = new_place(home, SHOP)
    (place.folder / "record.json").write_text(text)
    with pytest.raises(OutsideError, match="record"):
        find_place(home)


def test_the_record_says_that_volumes_go_and_why(tmp_path: Path) -> None:
    place = new_place(Home(tmp_path / "home"), SHOP)
    record = (place.folder / "record.json").read_text()
    assert '"with_named_volumes": true' in record
    assert '"reason": "' in record
