"""The thread that speaks SSH."""

from __future__ import annotations

import asyncio
import threading

import pytest

from projections.transport.ssh_loop import SshLoop


async def thread_name() -> str:
    return threading.current_thread().name


def test_work_of_several_loops_is_done_in_one_thread() -> None:
    loop = SshLoop()
    try:
        assert {asyncio.run(loop.run(thread_name())) for _ in range(2)} == {"ssh"}
    finally:
        loop.close()


def test_what_work_raises_is_raised_where_it_is_waited_for() -> None:
    async def fail() -> None:
        raise OSError("no")

    loop = SshLoop()
    try:
        with pytest.raises(OSError, match="no"):
            asyncio.run(loop.run(fail()))
    finally:
        loop.close()


def test_whoever_is_cancelled_cancels_the_work() -> None:
    begun, ended = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def waited() -> None:
        waiting = asyncio.create_task(loop.run(work()))
        await asyncio.to_thread(begun.wait, 30)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    loop = SshLoop()
    try:
        asyncio.run(waited())
        assert ended.wait(30)
    finally:
        loop.close()


def test_its_end_ends_what_runs_there_and_it_takes_nothing_more() -> None:
    ended = threading.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def begin() -> None:
        tasks.append(asyncio.create_task(work()))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    loop = SshLoop()
    asyncio.run(loop.run(begin()))
    loop.close()
    assert ended.is_set()
    with pytest.raises(RuntimeError):
        asyncio.run(loop.run(thread_name()))
    loop.close()
