"""Which services of a Release are watched once it has completed, and until when; pure.

Those that it changed, that requests come to through a gateway, and whose watch is longer than nothing. A
Release that goes back is not watched: what it brings ran before, and a watch that goes back from there would
go through the whole history for a fault that is somewhere else. Nor is one that nothing ran before, nor a
service that people hold requests back from: its gateway answers 503 on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from events.catalog.watch import WatchBegun
from projections.converge.superseding import goes_back
from projections.converge.work import ReleaseWork


def watch_over(work: ReleaseWork, changed: Iterable[str], *, now: datetime) -> WatchBegun | None:
    """The watch that begins with a Release's completion; None: there is none.

    `changed` are `host/service`, as a history tells them. The longest watch of a service is that of all.
    """
    routing = work.manifest.routing
    if routing is None or work.previous is None or work.leaves == work.manifest.digest:
        return None
    if goes_back(work.kind, brings_new=work.brings_new):
        return None
    names = {one.partition("/")[2] for one in changed} & set(routing.routed) - work.drained_services
    watched = {name: rule.watch_seconds for name, rule in routing.traffic.items() if name in names}
    seconds = max(watched.values(), default=0.0)
    if seconds <= 0:
        return None
    services = tuple(sorted(name for name, each in watched.items() if each > 0))
    return WatchBegun(release=work.release, services=services, until=now + timedelta(seconds=seconds))
