"""One ordered queue of work per environment, with room for one waiting wake-up.

Work is level-triggered: it looks at everything that is so when it starts. Two wake-ups that wait are
therefore one, and a queue of one is long enough: nothing piles up however slow a deploy and however many
hints. Environments work side by side, at most `at_once` of them; one never works twice at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from events.kernel.clock import Clock

Work = Callable[[str, tuple[str, ...]], Awaitable[None]]
"""Does what is due for an environment; gets its name and why it was woken. Must not raise."""

_MAX_REASONS = 8


@dataclass(slots=True)
class _Timer:
    due: float  # monotonic seconds
    task: asyncio.Task[None]


@dataclass(slots=True, kw_only=True)
class WorkQueues:
    """Wakes environments and runs their work; belongs to one event loop."""

    work: Work
    clock: Clock
    at_once: int = 4
    _waiting: dict[str, dict[str, None]] = field(default_factory=dict[str, dict[str, None]])
    _working: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, "asyncio.Task[None]"])
    _timers: dict[str, _Timer] = field(default_factory=dict[str, _Timer])
    _room: asyncio.Semaphore = field(init=False)
    _closed: bool = False

    def __post_init__(self) -> None:
        self._room = asyncio.Semaphore(self.at_once)

    @property
    def working(self) -> tuple[str, ...]:
        """The environments whose work is under way or waits for room, sorted."""
        return tuple(sorted(self._working))

    def wake(self, environment: str, reason: str) -> None:
        """Let the environment's work run as soon as it can; after `close` nothing happens."""
        if self._closed:
            return
        reasons = self._waiting.setdefault(environment, {})
        if len(reasons) < _MAX_REASONS:
            reasons[reason] = None
        if environment not in self._working:
            self._working[environment] = asyncio.create_task(self._run(environment))

    def wake_later(self, environment: str, reason: str, *, seconds: float) -> None:
        """Wake it after a while; of several such timers the earliest counts."""
        if self._closed:
            return
        due = self.clock.monotonic() + seconds
        former = self._timers.get(environment)
        if former is not None and not former.task.done():
            if former.due <= due:
                return
            former.task.cancel()
        task = asyncio.create_task(self._wait(environment, reason, seconds))
        self._timers[environment] = _Timer(due=due, task=task)

    def close(self) -> None:
        """Take no new work; what waits is dropped, what is under way goes on."""
        self._closed = True
        self._waiting.clear()
        for timer in self._timers.values():
            timer.task.cancel()

    async def ended(self, environment: str) -> None:
        """Return when the work on one environment that is under way now, or waits, is over."""
        task = self._working.get(environment)
        if task is not None:
            await asyncio.wait([task])

    async def finished(self) -> None:
        """Return when no work is under way."""
        while self._working:
            await asyncio.wait(self._working.values())

    async def cancel(self) -> None:
        """End what is under way and return when it has ended."""
        self.close()
        tasks = [*self._working.values(), *(timer.task for timer in self._timers.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self, environment: str, reason: str, seconds: float) -> None:
        await self.clock.sleep(seconds)
        del self._timers[environment]
        self.wake(environment, reason)

    async def _run(self, environment: str) -> None:
        try:
            while environment in self._waiting:
                async with self._room:
                    reasons = self._waiting.pop(environment, None)
                    if reasons is not None:
                        await self.work(environment, tuple(reasons))
        finally:
            del self._working[environment]
