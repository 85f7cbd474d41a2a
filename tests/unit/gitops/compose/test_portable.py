"""Nothing of the machine that renders is left in a document."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.kernel.errors import UserError
from gitops.compose.client import Workshop
from gitops.compose.confine import Wall
from gitops.compose.faults import COMPOSE_HOME_REFUSED, COMPOSE_PATH_REFUSED
from gitops.compose.portable import COMMIT_PREFIX, COMPOSE_PATH_UNSUPPORTED, portable
from gitops.source.paths import PATH_ESCAPES


@pytest.fixture(params=["plain", "with $ign", "walled"])
def workshop(request: pytest.FixtureRequest, tmp_path: Path) -> Workshop:
    wall = Wall(("unshare",)) if request.param == "walled" else None
    return Workshop(tmp_path / str(request.param), wall)


def written(path: Path) -> str:
    """A path as Compose writes it."""
    return str(path).replace("$", "$$")


def test_paths_of_the_tree_are_marked_wherever_they_stand(workshop: Workshop) -> None:
    root = written(workshop.root)
    made = portable(workshop, {"a": [f"{root}/x/y", root, {"b": "plain", "c": 3, "d": None}]})
    assert made == {"a": [f"{COMMIT_PREFIX}x/y", COMMIT_PREFIX, {"b": "plain", "c": 3, "d": None}]}


def test_a_path_is_one_of_the_tree_only_after_its_steps_upwards(workshop: Workshop) -> None:
    root = written(workshop.root)
    made = portable(workshop, {"a": [f"{root}/x/../y", f"{root}/./x//z", f"{root}/x/.."]})
    assert made == {"a": [f"{COMMIT_PREFIX}y", f"{COMMIT_PREFIX}x/z", COMMIT_PREFIX]}
    for value in (f"{root}/../x", f"{root}/a/../../x", f"{root}/{'../' * 40}etc"):
        with pytest.raises(UserError) as caught:
            portable(workshop, {"a": value})
        assert caught.value.code == PATH_ESCAPES


def test_what_cannot_be_carried_elsewhere_is_refused(workshop: Workshop) -> None:
    root = workshop.root
    for value, code in (
        (written(root.parent / "x"), PATH_ESCAPES),
        (f"{written(root)}-evil/x", PATH_ESCAPES),
        (f"seen in {written(root)}/x", COMPOSE_PATH_UNSUPPORTED),
        ("/.stagecraft/files/x", COMPOSE_PATH_REFUSED),
    ):
        with pytest.raises(UserError) as caught:
            portable(workshop, {"services": {"web": [value]}})
        assert (caught.value.code, caught.value.where.key) == (code, "services.web[0]")
        assert str(root) not in str(caught.value)


def test_the_clients_home_is_refused(workshop: Workshop) -> None:
    home = written(workshop.home)
    for value in (home, f"x={home}/.ssh"):
        with pytest.raises(UserError) as caught:
            portable(workshop, {"a": value})
        assert caught.value.code == COMPOSE_HOME_REFUSED
