"""When a heal inspects containers and does not only list them.

An inspection costs a call for each container, so it is made where the engine told that a container was
started or changed, and of all containers once in `EVERY`: by whoever looks then, the daemon or `--once`. When
it was last done is kept with what else was observed; to lose it costs one inspection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from projections.converge.altered import Closely
    from projections.observed import ObservedStore

EVERY = timedelta(minutes=5)
_MOST_SERVICES = 100  # of one environment; with more, all are looked at
TELLING = frozenset({"start", "update"})  # what an engine says of a container that may not be as it was made


@dataclass(slots=True)
class CloserLooks:
    """By environment, the services that hints spoke of since the last heal; belongs to one event loop."""

    _services: dict[str, Closely] = field(default_factory=dict[str, "Closely"])

    def ask(self, environment: str, service: str) -> None:
        """Have a service's containers inspected by the next heal."""
        self.give_back(environment, {service})

    def take(self, environment: str) -> Closely:
        """What is to be inspected now, which then counts as done; None: everything."""
        return self._services.pop(environment, frozenset())

    def give_back(self, environment: str, services: Closely) -> None:
        """It was not done after all."""
        waiting = self._services.get(environment, frozenset())
        if waiting is None or services is None:
            self._services[environment] = None
            return
        both = {*waiting, *services}
        self._services[environment] = None if len(both) > _MOST_SERVICES else both


def is_due(observed: ObservedStore, environment: str, *, now: datetime) -> bool:
    """Whether all containers are to be inspected; a clock that was set back does not put it off."""
    last = observed.inspected_at(environment)
    return last is None or not timedelta() <= now - last < EVERY
