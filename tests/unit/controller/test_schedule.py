"""Interval jobs: they run, slow down, come back, and survive a clock that was set back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from controller.schedule import Schedule


async def _nothing() -> None:
    """A job."""


def _seconds_left(schedule: Schedule) -> float:
    due = schedule.next_run("poll")
    assert due is not None
    return (due - datetime.now(UTC)).total_seconds()


def test_a_job_runs_again_and_again() -> None:
    async def story() -> int:
        runs = 0
        enough = asyncio.Event()

        async def job() -> None:
            nonlocal runs
            runs += 1
            if runs == 3:
                enough.set()

        schedule = Schedule()
        schedule.every("poll", 0.02, job, jitter_seconds=0.001)
        schedule.start()
        async with asyncio.timeout(5):
            await enough.wait()
        schedule.stop()
        return runs

    assert asyncio.run(story()) == 3


def test_a_job_slows_down_and_comes_back() -> None:
    async def story() -> None:
        schedule = Schedule()
        schedule.every("poll", 10, _nothing)
        schedule.start()
        assert 8 < _seconds_left(schedule) <= 10
        schedule.slow_down("poll", 200)
        assert 190 < _seconds_left(schedule) <= 200
        schedule.as_usual("poll")
        assert 8 < _seconds_left(schedule) <= 10
        schedule.stop()

    asyncio.run(story())


def test_a_job_that_a_jump_of_the_clock_put_off_is_planned_anew() -> None:
    async def story() -> None:
        schedule = Schedule()
        schedule.every("poll", 10, _nothing)
        schedule.start()
        now = datetime.now(UTC)
        assert schedule.recheck(now=now, longest_seconds=10) == []
        schedule.slow_down("poll", 3600)  # as far away as after an hour back
        assert schedule.recheck(now=now - timedelta(minutes=1), longest_seconds=10) == ["poll"]
        assert _seconds_left(schedule) <= 10
        schedule.stop()

    asyncio.run(story())
