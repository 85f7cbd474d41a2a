"""Looking again until something is there."""

from __future__ import annotations

import asyncio

import pytest

from projections.engine.waiting import until
from tests.support.time import FakeClock


class Looker:
    """Sees something at its last look."""

    def __init__(self, looks: int) -> None:
        self._left = looks

    async def __call__(self) -> str | None:
        self._left -= 1
        return "there" if self._left == 0 else None


def test_what_is_there_is_not_waited_for(clock: FakeClock) -> None:
    assert asyncio.run(until(Looker(1), clock=clock, seconds=0)) == "there"
    assert clock.slept == []


def test_pauses_grow_up_to_half_a_second(clock: FakeClock) -> None:
    assert asyncio.run(until(Looker(9), clock=clock, seconds=60)) == "there"
    assert clock.slept == [0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5, 0.5]


def test_nothing_is_the_answer_after_exactly_the_time(clock: FakeClock) -> None:
    assert asyncio.run(until(Looker(1000), clock=clock, seconds=1.0)) is None
    assert sum(clock.slept) == pytest.approx(1.0)
