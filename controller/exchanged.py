"""What the log knows of a service's last exchange: how long it took in place, and what an engine alone sees.

A plan asks no engine, so the length of an outage is told from the last one of the same service, and that its
image declares a volume from what was seen when its containers came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.catalog import decode
from events.catalog.service import ServiceReplaced
from events.streams import release_stream
from projections.converge.strategy import OF_THE_IMAGE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from events.log import EventLog

Place = tuple[str, str]  # host and service


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """One environment's services, as far as they were ever exchanged."""

    in_place_seconds: Mapping[Place, float]
    """From the end of the old container to the start of the new one, the last time that was done in place."""
    image_volumes: frozenset[Place]  # whose containers keep something in a volume that their image declares


def last_exchanges(log: EventLog, *, releases: Collection[str]) -> Exchanged:
    """Fold the exchanges of an environment's `releases`."""
    streams = {release_stream(release) for release in releases}
    seconds: dict[Place, float] = {}
    volumes: dict[Place, bool] = {}
    for stored in log.read(type_name=ServiceReplaced.__name__):
        event = decode(stored)
        if stored.stream not in streams or not isinstance(event, ServiceReplaced) or not event.new_ids:
            continue
        place = (event.host, event.service)
        volumes[place] = OF_THE_IMAGE in event.because
        if event.rollout == "stop-first" and event.old_ids and event.milliseconds is not None:
            seconds[place] = event.milliseconds / 1000
    found = frozenset(place for place, has in volumes.items() if has)
    return Exchanged(in_place_seconds=seconds, image_volumes=found)
