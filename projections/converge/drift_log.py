"""What the log says of drift on one host: what is open, since when, and what is none.

Read of the environment's stream, as decisions are, and never of a view.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from events.catalog import decode
from events.catalog.drift import DriftDetected, DriftHealed
from events.envelope import StoredEvent
from projections.converge.site import Site


def open_drift(site: Site) -> DriftDetected | None:
    """The newest drift of this host that no `DriftHealed` followed."""
    newest = next((event for _, event in _events(site, newest_first=True)), None)
    return newest if isinstance(newest, DriftDetected) else None


def drifting_since(site: Site) -> dict[str, datetime]:
    """When each service of the open drift was first seen in it."""
    since: dict[str, datetime] = {}
    for stored, event in _events(site):
        named = event.services if isinstance(event, DriftDetected) else ()
        since = {name: since.get(name, stored.time) for name in named}
    return since


def left_as_made(site: Site) -> Mapping[tuple[str, str], frozenset[str]]:
    """By service and its hash, the fields that a replacement did not change."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for _, event in _events(site):
        if isinstance(event, DriftHealed):
            for one in event.left:
                place = (one.service, one.service_hash)
                found[place] = found.get(place, frozenset()) | frozenset(one.fields)
    return found


def _events(
    site: Site, *, newest_first: bool = False
) -> Iterator[tuple[StoredEvent, DriftDetected | DriftHealed]]:
    """The host's drifts and their ends, oldest first unless asked otherwise; decoded as they are taken."""
    log = site.equipment.log
    stored = [
        one
        for name in (DriftDetected.__name__, DriftHealed.__name__)
        for one in log.read(stream=site.stream, type_name=name)
    ]
    for one in sorted(stored, key=lambda each: each.version, reverse=newest_first):
        event = decode(one)
        if isinstance(event, DriftDetected | DriftHealed) and event.host == site.host:
            yield one, event
