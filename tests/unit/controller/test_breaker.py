"""Heals that do not last are counted, wait longer, and open the breaker."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from controller.backoff import Backoff
from controller.breaker import ATTEMPTS, RATE_WINDOW, Attempts, decide_breaker
from controller.decide.state import MOST_HEALS, EnvironmentState
from events.catalog.drift import BreakerOpened
from tests.support.time import START

_DEPLOYED = EnvironmentState(deployed="rel-1")


def _open(state: EnvironmentState, attempts: int) -> tuple[BreakerOpened, ...]:
    return decide_breaker(state, attempts=attempts, now=START, reason="it ends")


def test_heals_in_a_row_count_and_wait_longer() -> None:
    attempts = Attempts()
    found: list[tuple[int, float]] = []
    now = 100.0
    for _ in range(4):
        count = attempts.healed("a/b", started=now, ended=now + 1)
        found.append((count, attempts.wait_seconds("a/b", now=now + 1)))
        now += 5
    assert found == [(1, 0.0), (2, 1.0), (3, 2.0), (4, 4.0)]
    assert attempts.wait_seconds("a/b", now=now + 60) == 0.0
    assert attempts.wait_seconds("a/c", now=now) == 0.0


def test_a_heal_that_lasted_begins_the_count_anew() -> None:
    attempts = Attempts()
    assert attempts.healed("a/b", started=0, ended=1) == 1
    assert attempts.healed("a/b", started=11, ended=12) == 1
    assert attempts.healed("a/b", started=21.9, ended=22) == 2
    assert attempts.healed("a/c", started=22, ended=22) == 1


def test_heals_that_cannot_be_done_count_whenever_they_are() -> None:
    attempts = Attempts()
    assert [attempts.failed("a/b", ended=float(hour)) for hour in (0, 3600, 7200)] == [1, 2, 3]
    attempts.forget("a/b")
    assert attempts.failed("a/b", ended=0) == 1


def test_heals_that_cannot_be_done_wait_from_the_first_one_on() -> None:
    attempts = Attempts()
    found: list[float] = []
    for number in range(4):
        attempts.failed("a/b", ended=100.0 + number)
        found.append(attempts.wait_seconds("a/b", now=100.0 + number))
    assert found == [1.0, 2.0, 4.0, 8.0]


def test_the_breaker_opens_after_the_limit_and_each_time_for_longer() -> None:
    assert _open(_DEPLOYED, ATTEMPTS - 1) == ()
    (first,) = _open(_DEPLOYED, ATTEMPTS)
    assert (first.until - START, first.attempts, first.reason) == (timedelta(minutes=5), 5, "it ends")
    (third,) = _open(EnvironmentState(deployed="rel-1", breaker_openings=2), ATTEMPTS)
    assert third.until - START == timedelta(minutes=20)
    (later,) = _open(EnvironmentState(deployed="rel-1", breaker_openings=50), ATTEMPTS)
    assert later.until - START == timedelta(hours=1)


def test_the_breaker_stays_shut_without_a_deployment_and_open_while_it_is() -> None:
    assert _open(EnvironmentState(), 99) == ()
    later = START + timedelta(seconds=1)
    rests = EnvironmentState(deployed="rel-1", breaker_since=START, breaker_until=later)
    assert _open(rests, 99) == ()


def test_many_heals_that_lasted_a_little_open_the_breaker_too() -> None:
    step = RATE_WINDOW / MOST_HEALS
    often = replace(_DEPLOYED, heals=tuple(START - step * number for number in range(MOST_HEALS)))
    (opened,) = _open(often, 1)
    assert (opened.attempts, opened.reason) == (MOST_HEALS, "10 heals in 10 minutes: it ends")
    rarer = replace(_DEPLOYED, heals=tuple(START - step * 1.2 * number for number in range(MOST_HEALS)))
    assert _open(rarer, 1) == ()


def test_a_clock_that_was_set_back_does_not_prolong_the_rest() -> None:
    later = START + timedelta(minutes=5)
    rests = EnvironmentState(deployed="rel-1", breaker_since=START, breaker_until=later)
    assert rests.breaker_open(START)
    assert not rests.breaker_open(START - timedelta(hours=1))
    assert not rests.breaker_open(later)


def test_waits_double_up_to_a_limit_and_start_over_with_a_success() -> None:
    backoff = Backoff(first_seconds=1, limit_seconds=5)
    assert [backoff.failed() for _ in range(4)] == [1, 2, 4, 5]
    backoff.succeeded()
    assert backoff.failed() == 1
    backoff.failures = 10_000
    assert backoff.failed() == 5
