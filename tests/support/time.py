"""A clock that a test moves, and ids that count.

`FakeClock.sleep` moves the clock itself when nobody else does: a loop that waits an hour is over at once,
and every wait happened in order. A test that wants to hold a sleeper back takes `ManualClock`, whose
sleepers wake only when `advance` reaches them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from events.kernel.ids import format_release_id, uuid7

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class FakeClock:
    """Stands still until a test or a sleeper moves it."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = timedelta()
        self.slept: list[float] = []  # every wait asked for, in order

    def now(self) -> datetime:
        """The wall time it was moved to."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Seconds it was moved since the start."""
        return self._elapsed.total_seconds()

    async def sleep(self, seconds: float) -> None:
        """Move on by `seconds` and let others run."""
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self._elapsed += timedelta(seconds=seconds)


class ManualClock(FakeClock):
    """A clock whose sleepers wake only when the test moves it far enough."""

    def __init__(self, start: datetime = START) -> None:
        super().__init__(start)
        self._sleepers: list[_Sleeper] = []

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has moved the clock on by `seconds`."""
        self.slept.append(seconds)
        sleeper = _Sleeper(wakes_at=self.monotonic() + seconds)
        self._sleepers.append(sleeper)
        self._wake()
        await sleeper.woken.wait()

    def advance(self, seconds: float) -> None:
        """Move on by `seconds` and wake whoever waited for a time up to then."""
        super().advance(seconds)
        self._wake()

    def _wake(self) -> None:
        due = [sleeper for sleeper in self._sleepers if sleeper.wakes_at <= self.monotonic()]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper not in due]
        for sleeper in due:
            sleeper.woken.set()


@dataclass(eq=False)
class _Sleeper:
    wakes_at: float
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class CountingIds:
    """Event ids 1, 2, 3 … at the start time; release ids one second apart."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._events = 0
        self._releases = 0

    def event_id(self) -> UUID:
        """The next UUIDv7; its random part is a counter."""
        self._events += 1
        return uuid7(int(self._start.timestamp() * 1000), self._events)

    def release_id(self) -> str:
        """The next release id."""
        moment = self._start + timedelta(seconds=self._releases)
        self._releases += 1
        return format_release_id(moment)
