"""What a Release does to requests, counted as it goes: services switched, longest drain, connections cut.

The counts are those of the Release's own events, so a run that takes a Release up again begins with what the
runs before it recorded. What was asked meanwhile (`Asking`) is the run's own: a process that dies takes the
answers along, and the next one asks anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from events.catalog.base import decode
from events.catalog.release import TrafficProof
from events.catalog.traffic import ConnectionsDrained, TrafficSwitched
from events.streams import release_stream
from projections.edge.series import Asked

if TYPE_CHECKING:
    from events.envelope import StoredEvent
    from events.log import EventLog
    from events.routes import Routing
    from projections.converge.site import Site


class Asking(Protocol):
    """Whoever sends requests of our own while traffic moves; what hinders it never hinders the Release."""

    async def start(self, sites: Mapping[str, Site], routing: Routing) -> None:
        """Begin to ask, before the first switch; `sites` are the hosts of gateways that run.

        Called once in a run, and only where something is switched.
        """
        ...

    async def stop(self) -> None:
        """Ask no more: the last drain is over, or the run ends in another way. May be called twice."""
        ...

    def asked(self, services: Collection[str]) -> Asked:
        """What came of the requests for these services so far."""
        ...


@dataclass(slots=True, kw_only=True)
class TrafficRecord:
    """One Release's traffic so far."""

    switched: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])  # host and service
    drain_ms: int = 0  # the longest drain
    cut: int = 0  # connections, of all drains together
    answering: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Host and id of the containers that requests were switched to."""
    drained: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Host and id of the old containers whose drain is recorded."""

    def take(self, event: object) -> None:
        """Count an event of the Release; one of another kind counts as nothing."""
        match event:
            case TrafficSwitched():
                if event.old_ids:
                    self.switched.add((event.host, event.service))
                self.answering.update((event.host, one) for one in event.new_ids)
            case ConnectionsDrained():
                self.drain_ms = max(self.drain_ms, event.milliseconds)
                self.cut += event.cut
                self.drained.update((event.host, one) for one in event.containers)
            case _:
                pass


@dataclass(slots=True, kw_only=True)
class Traffic:
    """The traffic of one run of a Release: what is counted, and whoever asks meanwhile."""

    record: TrafficRecord = field(default_factory=TrafficRecord)
    asking: Asking | None = None  # None: nobody asks
    _began: bool = False

    async def begin(self, sites: Mapping[str, Site], routing: Routing) -> None:
        """Something is about to be switched; from the second time on nothing happens."""
        if not self._began and self.asking is not None:
            self._began = True
            await self.asking.start(sites, routing)

    async def end(self) -> None:
        """Nothing more is switched or drained in this run."""
        if self._began and self.asking is not None:
            self._began = False
            await self.asking.stop()

    def proof(self) -> TrafficProof | None:
        """What became of requests, of this run and those before it; None when nothing was switched."""
        record = self.record
        if not record.switched:
            return None
        services = {service for _, service in record.switched}
        asked = Asked() if self.asking is None else self.asking.asked(services)
        return TrafficProof(
            requests=asked.requests,
            failed=asked.failed,
            longest_gap_ms=asked.longest_gap_ms,
            drain_ms=record.drain_ms,
            cut=record.cut,
        )


def traffic_record(stored: Iterable[StoredEvent]) -> TrafficRecord:
    """Fold the events of a Release's stream."""
    record = TrafficRecord()
    for one in stored:
        record.take(decode(one))
    return record


def traffic_record_of(log: EventLog, release: str) -> TrafficRecord:
    """What a Release has done to requests by now."""
    return traffic_record(log.read_stream(release_stream(release)))
