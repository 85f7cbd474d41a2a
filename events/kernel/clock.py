"""Time as an argument.

Decisions and folds take times from events; everything else takes a `Clock`, so a test moves time instead
of waiting. Wall time is for people and records, monotonic time for deadlines: a clock that jumps must not
end a wait early or keep it for ever.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time, a monotonic reading and a way to wait, all from one source."""

    def now(self) -> datetime:
        """The wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of this clock's time."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The wall time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        import asyncio  # noqa: PLC0415  # whoever only reads and writes times should not wait for this import

        await asyncio.sleep(seconds)


def format_utc(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and `Z`: `2026-11-21T03:04:54.123Z`. Raises ValueError when naive."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place on a time line")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_utc(text: str) -> datetime:
    """The inverse of `format_utc`; takes any RFC 3339 offset. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no offset in {text!r}")
    return moment.astimezone(UTC)
