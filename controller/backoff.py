"""How long to wait after the nth failure in a row: doubling, bounded, over with the first success."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Backoff:
    """The waits of one thing that fails and is tried again."""

    first_seconds: float
    limit_seconds: float
    failures: int = 0

    def failed(self) -> float:
        """Note a failure and answer how long to wait before the next try."""
        seconds = min(self.limit_seconds, self.first_seconds * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return seconds

    def succeeded(self) -> None:
        """The next failure is a first one again."""
        self.failures = 0
