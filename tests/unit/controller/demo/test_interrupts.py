"""When the demo hears a signal."""

from __future__ import annotations

import os
import signal

import pytest

from controller.demo.interrupts import Interrupts


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_end_that_is_asked_for_is_heard_at_once(number: signal.Signals, code: int) -> None:
    with Interrupts().heard(), pytest.raises(SystemExit) as caught:
        send(number)
    assert caught.value.code == code


def interrupted(times: int) -> list[int]:
    """What a step came to that is interrupted so often after its first part."""
    interrupts, parts = Interrupts(), list[int]()

    def step() -> None:
        with interrupts.later():
            parts.append(1)
            for _ in range(times):
                send(signal.SIGINT)
            parts.append(2)
        parts.append(3)

    with interrupts.heard(), pytest.raises(KeyboardInterrupt):
        step()
    return parts


def test_an_interrupt_waits_for_the_end_of_the_step() -> None:
    assert interrupted(1) == [1, 2]


def test_a_second_interrupt_does_not_wait() -> None:
    assert interrupted(2) == [1]


def test_nothing_is_heard_while_everything_is_taken_away() -> None:
    interrupts = Interrupts()
    with interrupts.heard():
        interrupts.never()
        send(signal.SIGINT)
        send(signal.SIGTERM)


def test_afterwards_signals_are_whose_they_were() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Interrupts().heard():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
