"""How often something may happen: a bucket of so many at once, filled again at a steady rate."""

from __future__ import annotations

from dataclasses import dataclass, field

from events.kernel.clock import Clock


@dataclass(slots=True, kw_only=True)
class Allowance:
    """One bucket, full at first; belongs to one event loop."""

    clock: Clock
    at_once: float
    per_second: float
    _left: float = field(init=False)
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._left, self._since = self.at_once, self.clock.monotonic()

    def take(self) -> bool:
        """Take one; False when there is none."""
        now = self.clock.monotonic()
        self._left = min(self.at_once, self._left + (now - self._since) * self.per_second)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
