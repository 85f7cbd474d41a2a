"""The clocks that tests move."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.support.time import START, CountingIds, FakeClock, ManualClock


def test_a_sleeper_moves_the_fake_clock(clock: FakeClock) -> None:
    asyncio.run(clock.sleep(3600))
    clock.advance(0.5)
    assert clock.now() == START + timedelta(seconds=3600.5)
    assert clock.monotonic() == 3600.5
    assert clock.slept == [3600]


def test_sleepers_of_the_manual_clock_wake_in_the_order_of_time(manual_clock: ManualClock) -> None:
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await manual_clock.sleep(seconds)
        woken.append(name)

    async def story() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sleeper("late", 10))
            tasks.create_task(sleeper("early", 5))
            tasks.create_task(sleeper("at once", 0))
            await turns()
            assert woken == ["at once"]
            manual_clock.advance(5)
            await turns()
            assert woken == ["at once", "early"]
            manual_clock.advance(5)

    asyncio.run(story())
    assert woken == ["at once", "early", "late"]


async def turns() -> None:
    """Let every task run as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_ids_count(ids: CountingIds) -> None:
    assert ids.event_id() < ids.event_id()
    assert [ids.release_id(), ids.release_id()] == ["rel-20260102-030405000", "rel-20260102-030406000"]
