"""Event classes by subject; importing the package loads the whole catalogue.

revision.py      what a watched repository showed
environment.py   what was decided about an environment, holds and suspends
drift.py         what differed from what was deployed, and what was done about it
release.py       the life of a Release
service.py       what became of services and jobs
running.py       what people ask of services that run, and what containers do by themselves
traffic.py       what became of requests
draining.py      what people ask of requests: none for a host, or for a service
watch.py         the watch over what a Release has just brought
host.py          what became of hosts
removal.py       environments that are gone from Git, and what is taken away
adoption.py      projects that ran before and are taken over
log.py           the log itself: seals, their keys, forks
"""

from events.catalog import (
    adoption,
    draining,
    drift,
    environment,
    host,
    log,
    release,
    removal,
    revision,
    running,
    service,
    traffic,
    watch,
)
from events.catalog.base import Event, Failure, FailureCause, Unrecognised, decode, event_classes, propose

__all__ = [
    "Event",
    "Failure",
    "FailureCause",
    "Unrecognised",
    "adoption",
    "decode",
    "draining",
    "drift",
    "environment",
    "event_classes",
    "host",
    "log",
    "propose",
    "release",
    "removal",
    "revision",
    "running",
    "service",
    "traffic",
    "watch",
]
