"""Several streams of lines as one, in the order of their times.

Streams that end are merged exactly. Lines that come as they are written are held back for a moment, in which
those of slower hosts arrive, and leave in the order of their times. A line leaves when its moment is over
whatever the clock of its host says; otherwise one host whose clock is behind would keep back all others.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

_MOST_HELD = 10_000  # lines; more than that leave before their moment is over


class Timed(Protocol):
    """Something with a time."""

    @property
    def at(self) -> int:
        """Nanoseconds of the epoch."""
        ...


T = TypeVar("T", bound=Timed)


async def merged(streams: Sequence[AsyncGenerator[T]]) -> AsyncGenerator[T]:
    """All that the streams have; each is taken to be in order. Closes them."""

    async def following(number: int) -> T | None:
        return await anext(streams[number], None)

    async with AsyncExitStack() as stack:
        for stream in streams:
            await stack.enter_async_context(aclosing(stream))
        firsts = await asyncio.gather(*map(following, range(len(streams))))
        heap = [(one.at, number, one) for number, one in enumerate(firsts) if one is not None]
        heapq.heapify(heap)
        while heap:
            _, number, one = heap[0]
            yield one
            after = await following(number)
            if after is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (max(after.at, one.at), number, after))


async def ordered(arrived: asyncio.Queue[T | Exception], *, hold_seconds: float) -> AsyncGenerator[T]:
    """What arrives, each held back for `hold_seconds`; never ends by itself. Raises an error that arrives."""
    now = asyncio.get_running_loop().time
    held: list[tuple[int, int, T]] = []  # a heap
    due: deque[tuple[float, int]] = deque()  # when the line of that number has to leave, as they came
    gone: set[int] = set()  # numbers in `due` that left already
    count = 0
    while True:
        try:
            async with asyncio.timeout_at(due[0][0] if due else None):
                one = await arrived.get()
        except TimeoutError:
            pass
        else:
            if isinstance(one, Exception):
                raise one
            count += 1
            heapq.heappush(held, (one.at, count, one))
            due.append((now() + hold_seconds, count))
        while due and (due[0][0] <= now() or len(held) > _MOST_HELD):
            _, number = due.popleft()
            while number not in gone:
                _, other, line = heapq.heappop(held)
                gone.add(other)
                yield line
            gone.discard(number)
