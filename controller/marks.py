"""How far each container's log was given out: reading goes on there without a gap and without a repeat.

An engine takes a time to begin from, less exactly than its lines have theirs, and the two streams of a
container may reach its log a little out of order. So reading goes on a second before the newest line, and
what was given out since then is left out by its times, each as often as it was given out: records of one
long line share a time. What is older than the first line that was given out was not asked for.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from projections.engine.following import NANOSECONDS

_OVERLAP = 1 * NANOSECONDS


@dataclass(slots=True)
class Mark:
    """What was given out of one container's log."""

    newest: int = 0  # nanoseconds of the epoch; 0: nothing
    first: int = 0  # likewise
    _recent: deque[int] = field(default_factory=deque[int])  # times of the last second, as they came
    _times: Counter[int] = field(default_factory=Counter[int])  # the same, counted

    def note(self, at: int) -> None:
        """A line of this time was given out."""
        self.first = self.first or at
        self.newest = max(self.newest, at)
        self._recent.append(at)
        self._times[at] += 1
        while self._recent[0] < self.newest - _OVERLAP:
            old = self._recent.popleft()
            self._times[old] -= 1
            if not self._times[old]:
                del self._times[old]

    @property
    def floor(self) -> int:
        """Lines before it were given out, or were not asked for."""
        return max(self.newest - _OVERLAP, self.first)

    @property
    def since(self) -> float | None:
        """Where to go on reading, in seconds of the epoch; None: nothing was given out."""
        return self.floor // 1000 / 1_000_000 if self.newest else None

    def sieve(self) -> Sieve:
        """What leaves out, of a reading from `since`, the lines that were given out until now."""
        return Sieve(floor=self.floor, left=Counter(self._times))


@dataclass(slots=True, kw_only=True)
class Sieve:
    """Lets each line pass that was not given out yet; for one reading."""

    floor: int
    left: Counter[int]

    def passes(self, at: int) -> bool:
        """Whether a line of this time is new."""
        if at < self.floor:
            return False
        if self.left[at] > 0:
            self.left[at] -= 1
            return False
        return True


@dataclass(frozen=True, slots=True)
class Marks:
    """One for each container, by its id."""

    known: dict[str, Mark] = field(default_factory=dict[str, Mark])

    def of(self, container: str) -> Mark:
        """The container's mark; a new one for one that was not read yet."""
        return self.known.setdefault(container, Mark())
