"""The newest seal that the log keeps of itself, found from the end of its stream without signing anything.

Beside `seals.py`, so that `status` can say how far the log is sealed without waiting for `cryptography`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.catalog import decode
from events.catalog.log import SealMade
from events.streams import LOG_STREAM

if TYPE_CHECKING:
    from events.catalog.log import SealedState
    from events.envelope import StoredEvent
    from events.log import EventLog

_BACK_EVENTS = 100  # read at a time, from the end


def newest_seal(log: EventLog) -> SealedState | None:
    """The newest seal of this log; those of a log that it was forked from do not count."""
    log_id, version = log.anchor().log_id, log.stream_version(LOG_STREAM)
    while version > 0:
        begin = max(0, version - _BACK_EVENTS)
        for stored in reversed(log.read_stream(LOG_STREAM, after_version=begin)[: version - begin]):
            seal = _seal(stored)
            if seal is not None and seal.log_id == log_id:
                return seal
        version = begin
    return None


def _seal(stored: StoredEvent) -> SealedState | None:
    """The seal that an event records; None also where its data were changed to something else."""
    if stored.type != SealMade.__name__:
        return None
    try:
        event = decode(stored)
    except ValueError:
        return None
    return event.seal if isinstance(event, SealMade) else None
