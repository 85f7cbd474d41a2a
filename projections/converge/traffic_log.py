"""What a switchboard does to requests, as events of its Release; what is on record is not recorded again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from events.catalog.traffic import ConnectionsDrained, RoutesTold, TrafficRestored, TrafficSwitched
from events.kernel.clock import Clock
from events.recorder import Recorder
from events.streams import release_stream
from projections.converge.traffic_record import Traffic


@dataclass(slots=True, kw_only=True)
class TrafficLog:
    """The record of one Release; `began` is always when something began, monotonic seconds."""

    recorder: Recorder
    release: str
    clock: Clock
    traffic: Traffic = field(default_factory=Traffic)

    def switched(
        self,
        host: str,
        service: str,
        *,
        old: Collection[str],
        new: Collection[str],
        told: tuple[str, ...],
        began: float,
    ) -> None:
        """Requests of a service on a host go to `new`; nothing where nobody was told and nobody goes."""
        going = set(old) - set(new)
        if not (going or told) or self.traffic.record.answering.issuperset((host, one) for one in new):
            return
        self._append(
            TrafficSwitched(
                host=host,
                service=service,
                gateways=told,
                old_ids=tuple(sorted(going)),
                new_ids=tuple(sorted(new)),
                milliseconds=self._since(began),
            )
        )

    def drained(
        self, host: str, service: str, containers: Collection[str], *, began: float, cut: int
    ) -> None:
        """Old containers have let go."""
        if not self.traffic.record.drained.issuperset((host, one) for one in containers):
            self._append(
                ConnectionsDrained(
                    host=host,
                    service=service,
                    containers=tuple(containers),
                    milliseconds=self._since(began),
                    cut=cut,
                )
            )

    def restored(
        self, host: str, service: str, containers: Collection[str], *, told: tuple[str, ...], reason: str
    ) -> None:
        """Requests of a service on a host go to its former containers again."""
        self._append(
            TrafficRestored(
                host=host, service=service, gateways=told, containers=tuple(containers), reason=reason
            )
        )

    def told(
        self, gateways: tuple[str, ...], services: Mapping[str, bool], *, reason: str, began: float
    ) -> None:
        """Gateways were told of services; False: that they pass nothing on to it any more."""
        self._append(
            RoutesTold(
                gateways=gateways,
                services=tuple(sorted(name for name, stays in services.items() if stays)),
                forgotten=tuple(sorted(name for name, stays in services.items() if not stays)),
                reason=reason,
                milliseconds=self._since(began),
            )
        )

    def _since(self, began: float) -> int:
        return round((self.clock.monotonic() - began) * 1000)

    def _append(self, event: TrafficSwitched | ConnectionsDrained | TrafficRestored | RoutesTold) -> None:
        self.recorder.append(release_stream(self.release), event)
        self.traffic.record.take(event)
