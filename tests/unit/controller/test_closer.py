"""When a heal inspects containers and does not only list them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from controller.closer import EVERY, CloserLooks, is_due
from projections.observed import ObservedStore
from tests.support.time import START


def test_hints_add_up_and_are_taken_once() -> None:
    looks = CloserLooks()
    looks.ask("shop/prod", "web")
    looks.ask("shop/prod", "db")
    looks.ask("shop/beta", "web")
    assert looks.take("shop/prod") == {"web", "db"}
    assert looks.take("shop/prod") == frozenset()


def test_what_was_not_done_comes_back_beside_what_came_meanwhile() -> None:
    looks = CloserLooks()
    looks.ask("shop/prod", "web")
    taken = looks.take("shop/prod")
    looks.ask("shop/prod", "db")
    looks.give_back("shop/prod", taken)
    assert looks.take("shop/prod") == {"web", "db"}


def test_a_flood_of_names_means_everything() -> None:
    looks = CloserLooks()
    for number in range(1000):
        looks.ask("shop/prod", f"s{number}")
    assert looks.take("shop/prod") is None


@pytest.mark.parametrize(("after", "due"), [(timedelta(), False), (EVERY, True), (timedelta(hours=-1), True)])
def test_everything_is_looked_at_now_and_then_whoever_looks(
    tmp_path: Path, *, after: timedelta, due: bool
) -> None:
    observed = ObservedStore(tmp_path / "observed.db")
    assert is_due(observed, "shop/prod", now=START)
    observed.note_inspected("shop/prod", START)
    assert is_due(observed, "shop/prod", now=START + after) is due
    assert is_due(observed, "shop/beta", now=START)
