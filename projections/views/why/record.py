"""The stored events that an answer is made from, read once and indexed by what they name.

They are the stream of one environment, the streams of some of its Releases, those of the watched
repositories and those of the hosts. Data are plain objects in the newest schema that this version knows: the
catalogue's classes would cost a command their import. Within a schema an older event may lack a newer field.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from events.schemas import illegible
from events.streams import environment_stream, release_stream
from events.upcast import current

if TYPE_CHECKING:
    from events.envelope import StoredEvent
    from events.log import EventLog

REQUESTS = frozenset({"DeployRequested", "RevertDetected", "RollbackRequested", "AdoptionRequested"})
VERDICTS = frozenset(
    {"ReleaseCompleted", "ReleaseFailed", "ReleaseRolledBack", "ReleaseSuperseded", "ReleaseCancelled"}
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """A stored event with its data."""

    event: StoredEvent
    data: dict[str, Any]

    @property
    def type(self) -> str:
        """The event's type; one of a newer schema is called by it too, so that nobody takes it for known."""
        known = illegible(self.event) != "newer-schema"
        return self.event.type if known else f"{self.event.type} in schema {self.event.schema}"

    @property
    def position(self) -> int:
        """Its place in the log."""
        return self.event.position


def told(events: Iterable[StoredEvent]) -> tuple[Told, ...]:
    """Events with their data."""
    return tuple(Told(event=event, data=json.loads(current(event).data)) for event in events)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the log says that concerns one environment; each part is in the order of the log."""

    environment: tuple[Told, ...]
    sightings: tuple[Told, ...] = ()  # of all watched repositories
    hosts: tuple[Told, ...] = ()
    releases: dict[str, tuple[Told, ...]] = field(default_factory=dict[str, tuple[Told, ...]])

    def named(self, digest: str) -> str:
        """A Manifest as people know it: by the commit that it was first rendered from."""
        for one in self.environment:
            if one.type == "ManifestRendered" and one.data["digest"] == digest:
                revision: str = one.data["revision"]
                return revision[:12]
        return digest[: len("sha256:") + 12]

    def request(self, release: str) -> Told | None:
        """The event that asked for a Release."""
        return next((one for one in self.requests() if one.data["release"] == release), None)

    def requests(self) -> list[Told]:
        """All that asked for a Release."""
        return [one for one in self.environment if one.type in REQUESTS]

    def verdict(self, release: str) -> Told | None:
        """How a Release ended; None: it has not."""
        ends = (one for one in self.environment if one.type in VERDICTS and one.data["release"] == release)
        return next(ends, None)

    def begun(self, release: str) -> bool:
        """Whether a controller began to work on a Release."""
        return any(
            one.type == "ReleaseStarted" and one.data["release"] == release for one in self.environment
        )

    def deployed(self) -> str | None:
        """The Release that is deployed at the end of the record."""
        found: str | None = None
        for one in self.environment:
            if one.type == "ReleaseCompleted":
                found = one.data["release"]
            elif one.type == "EnvironmentDestroyed":
                found = None
        return found

    def sighting(self, revision: str | None, *, before: int | None = None) -> Told | None:
        """The newest time a watched branch showed the commit, or the newest before a position."""
        found = [
            one
            for one in self.sightings
            if one.type == "RevisionObserved"
            and one.data["revision"] == revision
            and (before is None or one.position < before)
        ]
        return found[-1] if found else None

    def caused_by(self, cause: Told, *types: str) -> list[Told]:
        """Events of the environment that `cause` is named by as their cause."""
        return [
            one for one in self.environment if one.event.causation == cause.event.id and one.type in types
        ]


def gather(log: EventLog, project: str, name: str, *, releases: Collection[str] = ()) -> Record:
    """Read what an answer about an environment needs; `releases` are those whose own stream counts."""
    return Record(
        environment=told(log.read_stream(environment_stream(project, name))),
        sightings=_all(log, "repository/"),
        hosts=_all(log, "host/"),
        releases={one: told(log.read_stream(release_stream(one))) for one in sorted(releases)},
    )


def _all(log: EventLog, prefix: str) -> tuple[Told, ...]:
    found: list[StoredEvent] = [event for stream in log.streams(prefix) for event in log.read_stream(stream)]
    return told(sorted(found, key=lambda event: event.position))


def with_releases(log: EventLog, record: Record, releases: Sequence[str]) -> Record:
    """The record with the streams of further Releases."""
    further = {one: told(log.read_stream(release_stream(one))) for one in releases}
    return Record(
        environment=record.environment,
        sightings=record.sightings,
        hosts=record.hosts,
        releases={**record.releases, **further},
    )
