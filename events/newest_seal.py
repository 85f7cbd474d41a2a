"""The newest seal that the log keeps of itself, found from the end of its stream without signing anything.

Beside `seals.py` and without the catalogue, so that `status` can say how far the log is sealed and does not
wait for `cryptography` and `pydantic`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from events.streams import LOG_STREAM

if TYPE_CHECKING:
    from events.envelope import StoredEvent
    from events.log import EventLog

_BACK_EVENTS = 100  # read at a time, from the end


def newest_seal(log: EventLog) -> dict[str, Any] | None:
    """The newest seal of this log as a JSON object; those of a log that it was forked from do not count."""
    log_id, version = log.anchor().log_id, log.stream_version(LOG_STREAM)
    while version > 0:
        begin = max(0, version - _BACK_EVENTS)
        for stored in reversed(log.read_stream(LOG_STREAM, after_version=begin)[: version - begin]):
            seal = _seal(stored)
            if seal is not None and seal.get("log_id") == log_id:
                return seal
        version = begin
    return None


def _seal(stored: StoredEvent) -> dict[str, Any] | None:
    """The seal that an event records; None also where its data were changed to something else."""
    if stored.type != "SealMade":
        return None
    try:
        seal = json.loads(stored.data)["seal"]
        whole = isinstance(seal["position"], int) and isinstance(seal["at"], str)
    except (ValueError, KeyError, TypeError):
        return None
    return seal if whole else None
