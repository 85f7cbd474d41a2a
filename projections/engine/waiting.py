"""Waiting for something on a host by looking again.

No request is held open, so a wait can be cancelled at once and does not occupy a thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from events.kernel.clock import Clock

_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5

T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T | None]], *, clock: Clock, seconds: float) -> T | None:
    """The first answer of `look` that is not None, or None after `seconds`; the pauses grow."""
    deadline = clock.monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    while (found := await look()) is None:
        left = deadline - clock.monotonic()
        if left <= 0:
            return None
        await clock.sleep(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
    return found
