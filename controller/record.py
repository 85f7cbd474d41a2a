"""What is needed for what concerns the log alone: no engine, no host, no repository."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.recorder import Recorder

if TYPE_CHECKING:
    from controller.home import Home
    from events.actors import ActorDirectory
    from events.envelope import Actor
    from events.kernel.clock import Clock
    from events.kernel.ids import Ids
    from events.log import EventLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A home and its log."""

    home: Home
    log: EventLog
    actors: ActorDirectory
    clock: Clock
    ids: Ids

    def recorder(self, actor: Actor) -> Recorder:
        """A recorder for an undertaking of `actor`."""
        return Recorder(log=self.log, ids=self.ids, clock=self.clock, actor=actor)
