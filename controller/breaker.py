"""Counting heals that do not last, and the breaker that ends the counting.

A heal lasted when what it brought back stayed for `STAYED_SECONDS`; a heal that had to be done again before
that, or that failed, did not. After the first such heal the next ones wait, longer each time; after
`ATTEMPTS` in a row the breaker opens, with an event, so that a restart keeps it. What ends more slowly than
that, again and again, is seen by its rate: `MOST_HEALS` drifts that ended within `RATE_WINDOW`. The breaker
closes by a new Release, by a person's `resume` or by time, and each further opening lasts twice as long.

Heals in a row are counted in memory: a controller that starts anew counts anew, and never heals more often
for it than `ATTEMPTS` times a start. The rate is counted in the log, so a restart does not hide it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from controller.decide.state import MOST_HEALS
from events.catalog.drift import BreakerOpened

if TYPE_CHECKING:
    from controller.decide.state import EnvironmentState

ATTEMPTS = 5
STAYED_SECONDS = 10.0
RATE_WINDOW = timedelta(minutes=10)
FIRST_COOL_DOWN = timedelta(minutes=5)
LONGEST_COOL_DOWN = timedelta(hours=1)


@dataclass(slots=True)
class _Heals:
    in_a_row: int = 0  # that did not last
    failing: bool = False  # the last one could not be done
    ended: float = 0.0  # monotonic seconds


@dataclass(slots=True)
class Attempts:
    """Heals by environment."""

    _heals: dict[str, _Heals] = field(default_factory=dict[str, _Heals])

    def healed(self, environment: str, *, started: float, ended: float) -> int:
        """Note a heal and answer how many in a row were needed so far, this one included."""
        heals = self._heals.setdefault(environment, _Heals())
        again = heals.in_a_row > 0 and started - heals.ended < STAYED_SECONDS
        heals.in_a_row = heals.in_a_row + 1 if again else 1
        heals.ended, heals.failing = ended, False
        return heals.in_a_row

    def failed(self, environment: str, *, ended: float) -> int:
        """Note a heal that could not be done."""
        heals = self._heals.setdefault(environment, _Heals())
        heals.in_a_row += 1
        heals.ended, heals.failing = ended, True
        return heals.in_a_row

    def forget(self, environment: str) -> None:
        """Count from nothing again."""
        self._heals.pop(environment, None)

    def wait_seconds(self, environment: str, *, now: float) -> float:
        """How long the next heal should wait: nothing after one, then 1, 2, 4 s; after failures 1, 2, 4 s."""
        heals = self._heals.get(environment)
        if heals is None or (heals.in_a_row <= 1 and not heals.failing):
            return 0.0
        doublings = min(heals.in_a_row - (1 if heals.failing else 2), 10)
        return max(0.0, heals.ended + 2.0**doublings - now)


def decide_breaker(
    state: EnvironmentState, *, attempts: int, now: datetime, reason: str
) -> tuple[BreakerOpened, ...]:
    """Open the breaker after too many heals; nothing while it is open or when nothing is deployed.

    `attempts` are the heals in a row that did not last, and `reason` is what the last one showed.
    """
    if state.deployed is None or state.breaker_open(now):
        return ()
    if attempts < ATTEMPTS:
        attempts = len([moment for moment in state.heals if abs(now - moment) <= RATE_WINDOW])
        if attempts < MOST_HEALS:
            return ()
        reason = f"{attempts} heals in {RATE_WINDOW.total_seconds() / 60:.0f} minutes: {reason}"
    cool_down: timedelta = min(LONGEST_COOL_DOWN, FIRST_COOL_DOWN * 2 ** min(state.breaker_openings, 8))
    return (BreakerOpened(attempts=attempts, until=now + cool_down, reason=reason),)
