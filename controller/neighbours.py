"""What other processes do to the environments: commands beside the daemon, another controller, the dead.

The log's head is read every second. An environment in whose stream somebody else wrote is looked at as soon
as nobody holds its lock: what a killed command left half done goes on within seconds, and after a `resume`
what waited is deployed at once. While somebody works the environment is left to them.

Telling our own events from others needs no mark on them: what stands in the log when our work on an
environment ends was seen by that work, because it had the lock. A person may write without the lock, so
what a person wrote always counts. (Watching the locks instead was dropped: it would miss whoever is quick.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.holders import holder_of
from controller.locks import lock_file
from events.kernel.errors import OutsideError
from events.streams import split_environment

if TYPE_CHECKING:
    from controller.context import Context
    from events.envelope import StoredEvent

BEAT_SECONDS = 1.0
_PAGE_EVENTS = 500
_OURS = frozenset({"git", "controller", "schedule"})


@dataclass(slots=True, kw_only=True)
class Neighbours:
    """Wakes environments that somebody else changed; belongs to one event loop."""

    context: Context
    working: Callable[[], Collection[str]]  # the environments that we work on now
    known: Callable[[], Collection[str]]  # those that are ours to keep
    wake: Callable[[str, str], None]
    _position: int = field(init=False)
    _seen: dict[str, int] = field(default_factory=dict[str, int])  # the head when our work ended
    _touched: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        self._position = self.context.log.head()

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            await self.context.clock.sleep(BEAT_SECONDS)
            with suppress(OutsideError):  # a log that cannot be read is said by whatever work comes next
                self.look()

    def worked(self, environment: str) -> None:
        """Our work on an environment has just ended."""
        with suppress(OutsideError):  # then it is looked at once more, which harms nothing
            self._seen[environment] = self.context.log.head()

    def look(self) -> None:
        """Note who was touched and wake those that nobody works on."""
        while self.context.log.head() > self._position:
            page = self.context.log.read(after=self._position, limit=_PAGE_EVENTS)
            busy = self.working()
            for stored in page:
                self._note(stored, busy)
            self._position = page[-1].position
        for environment in sorted(self._touched):
            if holder_of(lock_file(self.context.home.run, environment)) is None:
                self._touched.discard(environment)
                if environment in self.known():
                    self.wake(environment, "changed by another process")

    def _note(self, stored: StoredEvent, busy: Collection[str]) -> None:
        place = split_environment(stored.stream)
        if place is None:
            return
        environment = "/".join(place)
        ours = environment in busy or stored.position <= self._seen.get(environment, 0)
        if stored.actor.kind not in _OURS or not ours:
            self._touched.add(environment)
