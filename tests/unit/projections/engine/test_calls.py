"""Blocking calls in threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from projections.engine.calls import BlockingCalls, patience_seconds


class Client:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Opener:
    """Hands out clients, after failing as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        self.opened: list[Client] = []
        self._failures = failures
        self.before: Callable[[], object] = lambda: None

    def __call__(self) -> Client:
        if self._failures:
            self._failures -= 1
            raise ConnectionRefusedError
        self.before()
        self.opened.append(Client())
        return self.opened[-1]


def test_the_client_is_opened_once_and_closed() -> None:
    opener = Opener()
    calls = BlockingCalls(opener, name="test")

    async def run() -> list[Client]:
        return [await calls.run(lambda client: client, seconds=1) for _ in range(3)]

    assert opener.opened == []
    first, *others = asyncio.run(run())
    assert all(other is first for other in others)
    calls.close()
    assert first.closed


def test_a_client_that_could_not_be_opened_is_tried_again() -> None:
    calls = BlockingCalls(Opener(failures=1), name="test")
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(calls.run(lambda client: client, seconds=1))
    assert isinstance(asyncio.run(calls.run(lambda client: client, seconds=1)), Client)
    calls.close()


def test_a_forgotten_client_is_closed_and_replaced() -> None:
    opener = Opener()
    calls = BlockingCalls(opener, name="test")
    first = asyncio.run(calls.run(lambda client: client, seconds=1))
    calls.forget()
    calls.forget()
    assert first.closed
    second = asyncio.run(calls.run(lambda client: client, seconds=1))
    assert second is not first
    calls.close()


def test_of_two_clients_opened_at_once_one_is_kept() -> None:
    opener = Opener()
    both = threading.Barrier(2, timeout=10)
    opener.before = both.wait
    calls = BlockingCalls(opener, name="test")

    async def run() -> list[Client]:
        return await asyncio.gather(*(calls.run(lambda client: client, seconds=1) for _ in range(2)))

    first, second = asyncio.run(run())
    assert first is second
    assert sorted(client.closed for client in opener.opened) == [False, True]
    assert not first.closed
    calls.close()


def test_each_call_has_its_own_patience() -> None:
    calls = BlockingCalls(Opener(), name="test")

    async def run() -> list[float]:
        return await asyncio.gather(
            *(calls.run(lambda _: patience_seconds(), seconds=seconds) for seconds in (1.0, 2.0, 3.0))
        )

    assert asyncio.run(run()) == [1.0, 2.0, 3.0]
    assert patience_seconds() == 0.0
    calls.close()


def test_the_number_of_calls_at_once_is_bounded() -> None:
    calls = BlockingCalls(Opener(), name="test")
    running, most = 0, 0
    lock = threading.Lock()
    release = threading.Event()

    def work(_: Client) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        release.wait(0.05)
        with lock:
            running -= 1

    async def run() -> None:
        await asyncio.gather(*(calls.run(work, seconds=1) for _ in range(30)))

    asyncio.run(run())
    assert 1 < most <= 8
    calls.close()
