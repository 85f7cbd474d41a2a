"""`drain` and `undrain`: what is asked for, and what the answer says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controller.draining import Told, Wanted
from controller.targets import Target
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History

Answer = Callable[[Told], list[tuple[Target, Wanted]]]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Have both commands answered so, without a gateway; answers what they were asked."""

    def answered(told: Told) -> list[tuple[Target, Wanted]]:
        asked: list[tuple[Target, Wanted]] = []

        async def run(context: object, target: Target, wanted: Wanted, **more: Any) -> Told:  # noqa: ANN401  # as they are called
            del context, more
            asked.append((target, wanted))
            return told

        monkeypatch.setattr("controller.draining.drain", run)
        monkeypatch.setattr("controller.draining.undrain", run)
        return asked

    return answered


def test_a_drain_says_who_answers_and_what_is_open(call: Call, history: History, answer: Answer) -> None:
    history.deployed("a")
    asked = answer(Told(news=True, answering={"api": (), "web": ("app-2", "app-3")}, open=3))
    said = call("drain", "app-1", "--env", "prod", "--reason", "new disk")
    assert said.out.splitlines() == [
        "shop/prod: app-1 gets no new requests",
        "  api: nobody answers, its gateway says 503",
        "  web: app-2, app-3 answer",
        "  3 connections are still open",
        "it stays so until: stagecraft undrain app-1 --env shop/prod",
    ]
    assert asked == [(Target(project="shop", name="prod"), Wanted(name="app-1", reason="new disk"))]


def test_a_drain_says_which_page_is_shown(call: Call, history: History, answer: Answer) -> None:
    history.deployed("a")
    answer(Told(news=True, answering={"web": ()}, pages={"web": "sorry:8080/down.html"}, open=0))
    said = call("drain", "web", "--env", "prod").out.splitlines()
    assert said[1] == "  web: nobody answers, its gateway says 503 with the page sorry:8080/down.html"


def test_maintenance_and_the_kind_are_passed_on(call: Call, history: History, answer: Answer) -> None:
    history.deployed("a")
    asked = answer(Told(news=False, answering={"web": ("app-2",)}, open=0))
    said = call("drain", "web", "--env", "prod", "--maintenance", "--kind", "service")
    assert said.out.splitlines()[:3] == [
        "shop/prod: web got none before, and gets no new requests",
        "  web: app-2 answers",
        "  no connection is open any more",
    ]
    assert asked[0][1] == Wanted(name="web", kind="service", mode="maintenance")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Told(news=True, open=1), "1 connection is still open"),
        (Told(news=True), "how many connections are open cannot be told from here"),
        (Told(news=True, busy="held by process 7"), "once other work there is over: held by process 7"),
    ],
)
def test_what_is_not_known_is_not_claimed(
    call: Call, history: History, answer: Answer, *, told: Told, words: str
) -> None:
    history.deployed("a")
    answer(told)
    assert call("drain", "web", "--env", "prod").out.splitlines()[1] == f"  {words}"


def test_undrain_says_who_answers(call: Call, history: History, answer: Answer) -> None:
    history.deployed("a")
    asked = answer(Told(news=True, answering={"web": ("app-1",)}))
    said = call("undrain", "app-1", "--env", "prod", "--kind", "host")
    assert said.out.splitlines() == ["shop/prod: app-1 gets requests again", "  web: app-1 answers"]
    assert asked[0][1] == Wanted(name="app-1", kind="host")


@pytest.mark.parametrize("command", ["drain", "undrain"])
def test_a_dry_run_asks_nobody(call: Call, history: History, answer: Answer, command: str) -> None:
    history.deployed("a")
    asked = answer(Told(news=True))
    assert "web of shop/prod would get" in call(command, "web", "--env", "prod", "--dry-run").out
    assert asked == []
    assert call(command, "web", "--env", "nowhere").code == 1
