"""Lines of several streams in the order of their times."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from controller.interleaving import merged, ordered


@dataclass(frozen=True)
class Said:
    at: int
    text: str


async def stream(*lines: Said, closed: list[str] | None = None) -> AsyncGenerator[Said]:
    try:
        for line in lines:
            await asyncio.sleep(0)
            yield line
    finally:
        if closed is not None:
            closed.append(lines[0].text)


async def texts(lines: AsyncGenerator[Said], *, most: int = 100) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(10), aclosing(lines) as all_:
        async for line in all_:
            found.append(line.text)
            if len(found) == most:
                break
    return found


def test_streams_are_merged_by_time() -> None:
    one = stream(Said(1, "a"), Said(4, "d"), Said(5, "e"))
    other = stream(Said(2, "b"), Said(3, "c"), Said(6, "f"))
    assert asyncio.run(texts(merged([one, other, stream()]))) == ["a", "b", "c", "d", "e", "f"]


def test_the_order_of_one_stream_stays_whatever_its_times() -> None:
    assert asyncio.run(texts(merged([stream(Said(9, "a"), Said(1, "b")), stream(Said(5, "x"))]))) == [
        "x",
        "a",
        "b",
    ]


def test_whoever_stops_closes_all_streams() -> None:
    closed: list[str] = []
    streams = [stream(Said(at, str(at)), Said(9, "never"), closed=closed) for at in range(3)]
    assert asyncio.run(texts(merged(streams), most=1)) == ["0"]
    assert sorted(closed) == ["0", "1", "2"]


async def arriving(*lines: Said | Exception, hold_seconds: float = 0.05, most: int) -> list[str]:
    arrived: asyncio.Queue[Said | Exception] = asyncio.Queue()
    for line in lines:
        arrived.put_nowait(line)
    return await texts(ordered(arrived, hold_seconds=hold_seconds), most=most)


def test_lines_of_one_moment_leave_in_the_order_of_their_times() -> None:
    lines = [Said(at, str(at)) for at in (5, 3, 9, 1)]
    assert asyncio.run(arriving(*lines, most=4)) == ["1", "3", "5", "9"]


def test_a_host_whose_clock_is_behind_keeps_nobody_back() -> None:
    async def run() -> list[str]:
        arrived: asyncio.Queue[Said | Exception] = asyncio.Queue()

        async def behind() -> None:
            for at in range(100_000):
                await arrived.put(Said(at, "old"))
                await asyncio.sleep(0.001)

        arrived.put_nowait(Said(10**18, "now"))
        task = asyncio.create_task(behind())
        try:
            found: list[str] = []
            async with asyncio.timeout(10), aclosing(ordered(arrived, hold_seconds=0.02)) as lines:
                async for line in lines:
                    found.append(line.text)
                    if line.text == "now":
                        break
            return found
        finally:
            task.cancel()

    found = asyncio.run(run())
    assert found[-1] == "now"
    assert found[:1] == ["old"]


def test_an_error_comes_out_where_lines_are_read() -> None:
    with pytest.raises(ValueError, match="torn"):
        asyncio.run(arriving(Said(1, "a"), ValueError("torn"), most=9))
