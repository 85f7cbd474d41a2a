"""What a person may roll back to, for whoever names nothing: the recent good Releases, and what they were.

A Release is told by the first line of its commit's message, as a look at a watched branch recorded it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.decide.folding import fold
from controller.decide.rollback import good_targets
from events.catalog import decode
from events.catalog.revision import RevisionObserved
from events.streams import environment_stream

if TYPE_CHECKING:
    from controller.decide.state import Release
    from controller.targets import Target
    from events.log import EventLog

_MOST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A Release that can be gone back to."""

    release: Release
    subject: str = ""  # of its commit; empty: no watched branch showed it


def offers(log: EventLog, target: Target) -> list[Offer]:
    """The newest good Releases of an environment, newest first, each Manifest once."""
    state = fold(log.read_stream(environment_stream(target.project, target.name)))
    found = good_targets(state, most=_MOST)
    subjects = _subjects(log, {one.revision for one in found if one.revision is not None})
    return [Offer(release=one, subject=subjects.get(one.revision or "", "")) for one in found]


def _subjects(log: EventLog, revisions: set[str]) -> dict[str, str]:
    """The first line of each commit's message."""
    found: dict[str, str] = {}
    for stream in log.streams("repository/"):
        for stored in log.read(stream=stream, type_name=RevisionObserved.__name__):
            event = decode(stored)
            if isinstance(event, RevisionObserved) and event.revision in revisions:
                found[event.revision] = event.subject
    return found
