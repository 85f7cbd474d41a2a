"""Interval jobs: they run, slow down, come back, and survive a clock that was set back."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta, tzinfo

import apscheduler.schedulers.base  # type: ignore[import-untyped]  # it has no types
import pytest

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


class _Jumping(datetime):
    """The wall clock as APScheduler reads it, which a test sets."""

    jump = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # as exact as is needed here
        return datetime.now(tz) + cls.jump


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> type[_Jumping]:
    """Set `jump` to set the clock of the scheduler, which is not ours."""
    monkeypatch.setattr(_Jumping, "jump", timedelta())
    monkeypatch.setattr(apscheduler.schedulers.base, "datetime", _Jumping)
    return _Jumping


class _Runs:
    """Counts the runs of a job."""

    def __init__(self) -> None:
        self.count = 0
        self._ran = asyncio.Event()

    async def run(self) -> None:
        self.count += 1
        self._ran.set()

    async def more(self, runs: int) -> None:
        wanted = self.count + runs
        async with asyncio.timeout(20):
            while self.count < wanted:
                await self._ran.wait()
                self._ran.clear()


def test_a_clock_that_is_set_back_an_hour_stops_a_job_until_it_is_rechecked(jumping: type[_Jumping]) -> None:
    async def story() -> None:
        runs, schedule = _Runs(), Schedule(now=lambda: jumping.now(UTC))
        schedule.every("poll", 0.1, runs.run)
        schedule.start()
        await runs.more(2)
        jumping.jump = timedelta(hours=-1)
        assert schedule.recheck() == ["poll"]
        await runs.more(2)
        assert schedule.recheck() == []
        schedule.stop()

    asyncio.run(story())


def test_a_job_that_was_slowed_down_stays_slow_when_it_is_planned_anew(jumping: type[_Jumping]) -> None:
    async def story() -> None:
        schedule = Schedule(now=lambda: jumping.now(UTC))
        schedule.every("poll", 10, _nothing)
        schedule.start()
        schedule.slow_down("poll", 200)
        assert schedule.recheck() == []
        jumping.jump = timedelta(minutes=-1)
        assert schedule.recheck() == ["poll"]
        assert 190 < _seconds_left(schedule) + 60 <= 201
        schedule.stop()

    asyncio.run(story())


def test_a_clock_that_is_set_forward_makes_no_storm(jumping: type[_Jumping]) -> None:
    async def story() -> int:
        runs, schedule = _Runs(), Schedule(now=lambda: jumping.now(UTC))
        schedule.every("poll", 0.2, runs.run)
        schedule.start()
        await runs.more(1)
        jumping.jump = timedelta(days=20_000)  # from 1970 to now
        before, began = runs.count, time.monotonic()
        await runs.more(3)
        schedule.stop()
        seconds = time.monotonic() - began
        assert runs.count - before <= seconds / 0.2 + 2
        return runs.count

    assert asyncio.run(story()) >= 4
