"""Event classes by subject; importing the package loads the whole catalogue.

revision.py      what a watched repository showed
environment.py   what was decided about an environment, holds and suspends
release.py       the life of a Release
service.py       what became of services and jobs
host.py          what became of hosts
"""

from events.catalog import environment, host, release, revision, service
from events.catalog.base import Event, Failure, FailureCause, Unrecognised, decode, event_classes, propose

__all__ = [
    "Event",
    "Failure",
    "FailureCause",
    "Unrecognised",
    "decode",
    "environment",
    "event_classes",
    "host",
    "propose",
    "release",
    "revision",
    "service",
]
