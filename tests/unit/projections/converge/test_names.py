"""Containers are called by the lowest numbers, whatever Compose numbered them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from projections.converge.names import plan_exchange, plan_tidy
from projections.engine.port import Container
from tests.unit.projections.converge.test_plan import container

ONE, TWO, THREE, TEN = (f"hello-prod-web-{number}" for number in (1, 2, 3, 10))


def called(name: str) -> Container:
    return replace(container("web"), id=name.ljust(64, "0"), name=name)


def exchanged(names: Collection[str], *, coming: list[str], going: list[str]) -> list[tuple[str, str]]:
    plan = plan_exchange(names, coming=[called(one) for one in coming], going=[called(one) for one in going])
    return [(one.name, one.to) for one in plan]


def tidied(*names: str, ours: bool = True, replicas: int = 1, service: str = "web") -> list[tuple[str, str]]:
    found = [called(one) for one in names]
    plan = plan_tidy(
        found,
        ours={one.id for one in found} if ours else set(),
        compose_project="hello-prod",
        definitions={service: {"scale": replicas}},
    )
    return [(one.name, one.to) for one in plan]


def test_the_new_one_gets_the_name_and_the_old_one_steps_aside_as_compose_would_have_it() -> None:
    aside = f"{called(ONE).id[:12]}_{ONE}"
    assert exchanged([ONE], coming=[TWO], going=[ONE]) == [(ONE, aside), (TWO, ONE)]


def test_several_take_their_names_in_the_order_of_their_numbers() -> None:
    made = exchanged([ONE, TWO], coming=[TEN, THREE], going=[TWO, ONE])
    assert [(name, to) for name, to in made if "_" not in to] == [(THREE, ONE), (TEN, TWO)]


def test_who_has_a_right_name_keeps_it() -> None:
    assert exchanged([ONE], coming=[ONE], going=[TWO]) == []
    assert exchanged([ONE, TWO], coming=[TWO, THREE], going=[]) == [(THREE, ONE)]


def test_what_stands_alone_under_a_high_number_is_renamed() -> None:
    assert tidied(TEN) == [(TEN, ONE)]
    assert tidied(ONE, THREE, replicas=2) == [(THREE, TWO)]


def test_nothing_is_renamed_in_the_middle_of_an_exchange_nor_what_is_not_ours_or_called_otherwise() -> None:
    assert tidied(ONE, TWO) == []
    assert tidied(TEN, TWO) == []
    assert tidied(TEN, ours=False) == []
    assert tidied("hello-prod-web-mine") == []
    assert tidied("hello-prod-web-api-2", service="web") == []
