"""Queues of work: one at a time for each environment, one waiting wake-up, side by side, an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from controller.queues import WorkQueues
from tests.support.time import FakeClock, ManualClock


class _Work:
    """Notes each run; holds it until `release` is set."""

    def __init__(self, *, held: bool = False) -> None:
        self.runs: list[tuple[str, tuple[str, ...]]] = []
        self.at_once = 0
        self.most = 0
        self.release = asyncio.Event()
        if not held:
            self.release.set()

    async def __call__(self, environment: str, reasons: tuple[str, ...]) -> None:
        self.runs.append((environment, reasons))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await self.release.wait()
        self.at_once -= 1


def _run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(5):
            await story()

    asyncio.run(bounded())


async def _turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_wakeups_that_wait_are_one_and_keep_their_reasons() -> None:
    async def story() -> None:
        work = _Work(held=True)
        queues = WorkQueues(work=work, clock=FakeClock())
        queues.wake("a/b", "first")
        await _turns()
        for reason in ("x", "y", "x"):
            queues.wake("a/b", reason)
        work.release.set()
        await queues.finished()
        assert work.runs == [("a/b", ("first",)), ("a/b", ("x", "y"))]
        assert work.most == 1

    _run(story)


def test_reasons_are_bounded() -> None:
    async def story() -> None:
        work = _Work()
        queues = WorkQueues(work=work, clock=FakeClock())
        for number in range(1000):
            queues.wake("a/b", str(number))
        await queues.finished()
        assert [len(reasons) for _, reasons in work.runs] == [8]

    _run(story)


def test_environments_work_side_by_side_up_to_the_bound() -> None:
    async def story() -> None:
        work = _Work(held=True)
        queues = WorkQueues(work=work, clock=FakeClock(), at_once=2)
        for name in ("a/1", "a/2", "a/3"):
            queues.wake(name, "go")
        await _turns()
        assert len(work.runs) == 2
        assert queues.working == ("a/1", "a/2", "a/3")
        work.release.set()
        await queues.finished()
        assert (len(work.runs), work.most) == (3, 2)

    _run(story)


def test_closing_lets_the_work_under_way_finish_and_drops_what_waits() -> None:
    async def story() -> None:
        work = _Work(held=True)
        queues = WorkQueues(work=work, clock=ManualClock())
        queues.wake("a/b", "first")
        queues.wake_later("a/c", "later", seconds=1)
        await _turns()
        queues.wake("a/b", "second")
        queues.close()
        queues.wake("a/d", "too late")
        queues.wake_later("a/d", "too late", seconds=0)
        work.release.set()
        await queues.finished()
        assert work.runs == [("a/b", ("first",))]

    _run(story)


def test_cancelling_ends_the_work_under_way() -> None:
    async def story() -> None:
        work = _Work(held=True)
        queues = WorkQueues(work=work, clock=FakeClock())
        queues.wake("a/b", "first")
        await _turns()
        await queues.cancel()
        assert queues.working == ()

    _run(story)


def test_the_end_of_one_environment_s_work_can_be_awaited() -> None:
    async def story() -> None:
        work = _Work(held=True)
        queues = WorkQueues(work=work, clock=FakeClock())
        await queues.ended("a/b")
        queues.wake("a/b", "first")
        await _turns()
        waiting = asyncio.create_task(queues.ended("a/b"))
        await _turns()
        assert not waiting.done()
        work.release.set()
        await waiting
        assert queues.working == ()

    _run(story)


@pytest.mark.parametrize("waits", [(5.0, 2.0), (2.0, 5.0)])
def test_of_several_timers_the_earliest_counts(waits: tuple[float, float]) -> None:
    async def story() -> None:
        clock, work = ManualClock(), _Work()
        queues = WorkQueues(work=work, clock=clock)
        for wait in waits:
            queues.wake_later("a/b", f"after {wait:g}", seconds=wait)
            await _turns()
        clock.advance(1.9)
        await _turns()
        assert work.runs == []
        clock.advance(0.2)
        await _turns()
        assert work.runs == [("a/b", ("after 2",))]
        clock.advance(10)
        await _turns()
        assert len(work.runs) == 1
        queues.wake_later("a/b", "again", seconds=1)
        await _turns()
        clock.advance(1)
        await _turns()
        assert len(work.runs) == 2

    _run(story)
