"""Which containers the log names as made or taken over by us.

A container that carries our labels and is in no event was made by somebody else, or by a run that was killed
before it could say so. The answer is the log's alone and grows with it, so what was read once is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field

from events.catalog import decode
from events.catalog.adoption import ServiceAdopted
from events.catalog.service import ServiceReplaced
from events.log import EventLog

_AT_ONCE = 1000  # events that are read at a time


@dataclass(slots=True)
class Births:
    """Which containers the log names as made or taken over by us; reads only what is new in it.

    Halves of the ids are kept, some 60 bytes for each container that ever was.
    """

    _after: int = 0
    _named: set[bytes] = field(default_factory=set[bytes])
    _alone: threading.Lock = field(default_factory=threading.Lock)

    def named(self, log: EventLog, ids: Collection[str]) -> frozenset[str]:
        """Those of `ids` that the log names. Blocking; threads may share it."""
        with self._alone:
            if any(_half(one) not in self._named for one in ids):
                self._read(log)
            return frozenset(one for one in ids if _half(one) in self._named)

    def _read(self, log: EventLog) -> None:
        head = log.head()
        for kind in (ServiceReplaced, ServiceAdopted):
            after = self._after
            while found := log.read(after=after, limit=_AT_ONCE, type_name=kind.__name__):
                for event in map(decode, found):
                    if isinstance(event, ServiceReplaced):
                        self._named.update(map(_half, event.new_ids))
                    elif isinstance(event, ServiceAdopted):
                        self._named.update(map(_half, event.containers))
                after = found[-1].position
        self._after = head


def _half(container: str) -> bytes:
    return bytes.fromhex(container[:32])
