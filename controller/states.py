"""The environments' states as they were last read from the log, so that only newer events are folded.

A pass over many environments asks for each several times. What is kept is bounded by the number of events
that it stands for, and the environment that was asked for longest ago goes first: it is read from its
beginning then, which is never wrong. A log only grows, so a kept state is never wrong either.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.decide.folding import fold
from controller.decide.state import EnvironmentState

if TYPE_CHECKING:
    from events.log import EventLog
    from events.streams import StreamName

_MOST_EVENTS = 20_000  # some tens of megabytes


@dataclass(slots=True)
class States:
    """Of one log at a time; threads may share it."""

    most_events: int = _MOST_EVENTS
    _log: EventLog | None = None
    _kept: OrderedDict[StreamName, EnvironmentState] = field(
        default_factory=OrderedDict["StreamName", EnvironmentState]
    )
    _events: int = 0
    _alone: threading.Lock = field(default_factory=threading.Lock)

    def of(self, log: EventLog, stream: StreamName) -> EnvironmentState:
        """The state after all events that `stream` has now."""
        with self._alone:
            return self._of(log, stream)

    def _of(self, log: EventLog, stream: StreamName) -> EnvironmentState:
        if log is not self._log:
            self._log, self._kept, self._events = log, OrderedDict(), 0
        before = self._kept.pop(stream, None) or EnvironmentState()
        state = fold(log.read_stream(stream, after_version=before.version), before)
        self._kept[stream] = state
        self._events += state.version - before.version
        while self._events > self.most_events and self._kept:
            self._events -= self._kept.popitem(last=False)[1].version
        return state
