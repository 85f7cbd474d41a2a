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
    from events.log import EventLog

_BACK_EVENTS = 100  # read at a time, from the end


def newest_seal(log: EventLog) -> SealedState | None:
    """The newest seal of this log; those of a log that it was forked from do not count."""
    log_id, version = log.anchor().log_id, log.stream_version(LOG_STREAM)
    while version > 0:
        begin = max(0, version - _BACK_EVENTS)
        for stored in reversed(log.read_stream(LOG_STREAM, after_version=begin)[: version - begin]):
            if stored.type == SealMade.__name__:
                event = decode(stored)
                if isinstance(event, SealMade) and event.seal.log_id == log_id:
                    return event.seal
        version = begin
    return None
