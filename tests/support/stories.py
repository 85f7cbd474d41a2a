"""Stories around something that runs by itself: told in one event loop, and over at their deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from controller.daemon import Daemon

_STORY_SECONDS = 60.0
_POLL_SECONDS = 0.01


def tell(story: Callable[[], Awaitable[None]], *, seconds: float = _STORY_SECONDS) -> None:
    """Run a story to its end. Raises TimeoutError when it has none within `seconds`."""

    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await story()

    asyncio.run(bounded())


def tell_beside(
    daemon: Daemon, story: Callable[[], Awaitable[None]], *, seconds: float = _STORY_SECONDS
) -> None:
    """Run a story while the daemon runs, and end that. Raises as `tell`."""

    async def both() -> None:
        stopping = asyncio.Event()
        running = asyncio.create_task(daemon.run(stopping))
        try:
            async with asyncio.timeout(seconds):
                await story()
        finally:
            stopping.set()
            await running

    asyncio.run(both())


async def until(holds: Callable[[], bool]) -> None:
    """Return when it holds; the deadline of the story bounds the wait."""
    while True:
        if holds():
            return
        await asyncio.sleep(_POLL_SECONDS)
