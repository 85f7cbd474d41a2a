"""Words for refused deliveries: one line for each source and minute, however many there are.

Whoever floods us chooses how many sources there are, so the number that is kept is bounded too, and the
oldest goes first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from events.kernel.clock import Clock

_SECONDS = 60.0
_MOST_SOURCES = 1000


@dataclass(slots=True)
class _Source:
    """One source: when its last line was written, and what was refused since."""

    told: float
    untold: int = 0


@dataclass(slots=True, kw_only=True)
class Refusals:
    """Counts by reason, and says what happens."""

    clock: Clock
    say: Callable[[str], None]
    counts: Counter[str] = field(default_factory=Counter[str])
    _sources: OrderedDict[tuple[str, str], _Source] = field(
        default_factory=OrderedDict[tuple[str, str], _Source]
    )

    def refused(self, source: str, *, where: str, reason: str) -> None:
        """Note one; `source` is the address of who sent it, `where` what it was sent to."""
        self.counts[reason] += 1
        now = self.clock.monotonic()
        known = self._sources.pop((source, reason), None)
        if known is not None and now - known.told < _SECONDS:
            known.untold += 1
            self._sources[source, reason] = known
            return
        more = (
            f" ({known.untold} more since the last such line)" if known is not None and known.untold else ""
        )
        self.say(f"webhook refused: {reason}, from {source} to {where}{more}")
        self._sources[source, reason] = _Source(told=now)
        while len(self._sources) > _MOST_SOURCES:
            self._sources.popitem(last=False)
