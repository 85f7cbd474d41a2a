"""What containers did by themselves, told at most once a minute for each service, and counted.

The first end of a container is told at once. What follows within the minute is counted and told when it is
over, by the next end or the next look at the environment. So a loop that kills a container every second
costs the log one event a minute, and what it did is known all the same. What ends while the environment is
worked on is the work's own doing as far as anybody can tell, and is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from events.catalog.running import ContainerStateChanged

MINUTE = 60.0
ENDS = frozenset({"die", "destroy", "pause", "oom"})  # what is told; `stop` is the end of a `die`
_MOST = 1000  # services that are counted at a time; of further ones nothing is told

_Place = tuple[str, str, str]  # environment, host, service


@dataclass(slots=True)
class _Count:
    told: float | None = None  # monotonic seconds; None: nothing yet
    count: int = 0  # since then
    state: str = ""
    since: datetime | None = None


@dataclass(slots=True)
class StateChanges:
    """Counts by service; belongs to one event loop."""

    _counts: dict[_Place, _Count] = field(default_factory=dict[_Place, _Count])

    def note(self, place: _Place, state: str, *, at: datetime) -> None:
        """A container ended; `place` is its environment, host and service."""
        if place not in self._counts and len(self._counts) >= _MOST:
            return
        one = self._counts.setdefault(place, _Count())
        one.count += 1
        one.state = state
        one.since = one.since or at

    def due(self, environment: str, *, now: float) -> tuple[ContainerStateChanged, ...]:
        """What is to be told of an environment at the monotonic time `now`; it counts as told."""
        told: list[ContainerStateChanged] = []
        for place in [one for one in self._counts if one[0] == environment]:
            one = self._counts[place]
            if one.told is not None and now - one.told < MINUTE:
                continue
            if one.since is None:
                del self._counts[place]
                continue
            _, host, service = place
            told.append(
                ContainerStateChanged(
                    host=host, service=service, state=one.state, count=one.count, since=one.since
                )
            )
            self._counts[place] = _Count(told=now)
        return tuple(told)
