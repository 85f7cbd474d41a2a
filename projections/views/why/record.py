"""The stored events that an answer is made from, read once and indexed by what they name.

They are the stream of one environment, the streams of some of its Releases, what the watched branches showed
that changed it or that it speaks of, and the newest word of each host: of a long history a small part. Data
are plain objects in the newest schema that this version knows: the catalogue's classes would cost a command
their import. Within a schema an older event may lack a newer field.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from events.query import EventQuery
from events.schemas import illegible
from events.streams import environment_stream, release_stream
from events.upcast import current

if TYPE_CHECKING:
    from events.envelope import StoredEvent
    from events.log import EventLog
    from projections.views.why.answer import Subject

REQUESTS = frozenset({"DeployRequested", "RevertDetected", "RollbackRequested", "AdoptionRequested"})
VERDICTS = frozenset(
    {"ReleaseCompleted", "ReleaseFailed", "ReleaseRolledBack", "ReleaseSuperseded", "ReleaseCancelled"}
)

_OF_REACHABILITY = frozenset({"HostReached", "HostRebound", "HostUnreachable"})


class Told:
    """A stored event with its data, which are read when somebody asks for them: of most nobody does."""

    __slots__ = ("_data", "event", "type")

    def __init__(self, event: StoredEvent) -> None:
        self.event = event
        self.type = _type_of(event)  # one of a newer schema is called by that too: nobody takes it for known
        self._data: dict[str, Any] | None = None

    @property
    def position(self) -> int:
        """Its place in the log."""
        return self.event.position

    @property
    def data(self) -> dict[str, Any]:
        """What it says, in the newest schema that this version knows."""
        data = self._data
        if data is None:
            data = self._data = cast("dict[str, Any]", json.loads(current(self.event).data))
        return data

    @property
    def revision(self) -> str | None:
        """The commit that it names."""
        return self.data.get("revision") if b'"revision"' in self.event.data else None


def told(events: Iterable[StoredEvent]) -> tuple[Told, ...]:
    """Events with their data."""
    return tuple(map(Told, events))


def _type_of(event: StoredEvent) -> str:
    known = illegible(event) != "newer-schema"
    return event.type if known else f"{event.type} in schema {event.schema}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the log says that concerns one environment; each part is in the order of the log."""

    environment: tuple[Told, ...]
    sightings: tuple[Told, ...] = ()  # by watched branches, of what concerns it
    hosts: tuple[Told, ...] = ()  # the newest of each
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
        for one in reversed(self.environment):
            if one.type == "EnvironmentDestroyed":
                return None
            if one.type == "ReleaseCompleted" and not _is_partial(one):
                release: str = one.data["release"]
                return release
        return None

    def sighting(self, revision: str | None, *, before: int | None = None) -> Told | None:
        """The newest time a watched branch showed the commit, or the newest before a position."""
        for one in reversed(self.sightings):
            early = before is None or one.position < before
            if early and one.type == "RevisionObserved" and one.data["revision"] == revision:
                return one
        return None

    def caused_by(self, cause: Told, *types: str) -> list[Told]:
        """Events of the environment that `cause` is named by as their cause."""
        known = cause.event.event_id
        return [one for one in self.environment if one.event.causation_id == known and one.type in types]


def _is_partial(completed: Told) -> bool:
    """Whether hosts that it was not for were to run something else."""
    hosts = completed.data["hosts"].values()
    return any(one["status"] == "untouched" and one["digest"] != completed.data["digest"] for one in hosts)


def gather(
    log: EventLog,
    tables: sqlite3.Connection,
    subject: Subject,
    *,
    releases: Collection[str] = (),
) -> Record:
    """Read what an answer about a subject needs; `releases` are those whose own stream counts."""
    place = (subject.project, subject.name)
    environment = told(log.read_stream(environment_stream(*place)))
    revisions = {one.revision for one in environment} | {subject.id}
    return Record(
        environment=environment,
        sightings=told(_sightings(log, tables, place, revisions)),
        hosts=told(_newest_of_hosts(log)),
        releases={one: told(log.read_stream(release_stream(one))) for one in sorted(releases)},
    )


def _sightings(
    log: EventLog, tables: sqlite3.Connection, place: tuple[str, str], revisions: Collection[str | None]
) -> Iterable[StoredEvent]:
    """What branches showed of an environment's commits, and what changed it or left it out."""
    query = "SELECT position FROM trace_sightings WHERE project = ? AND name = ?"
    positions: set[int] = {row["position"] for row in tables.execute(query, place)}
    query = "SELECT position FROM trace_revisions WHERE revision = ? AND project = ''"
    for revision in revisions:
        positions.update(row["position"] for row in tables.execute(query, (revision,)))
    return log.select(EventQuery(positions=frozenset(positions)))


def _newest_of_hosts(log: EventLog) -> Iterable[StoredEvent]:
    """Of each host the newest event that says whether it answers."""
    for stream in log.streams("host/"):
        said = (one for one in reversed(log.read_stream(stream)) if one.type in _OF_REACHABILITY)
        yield from islice(said, 1)


def with_releases(log: EventLog, record: Record, releases: Sequence[str]) -> Record:
    """The record with the streams of further Releases."""
    further = {one: told(log.read_stream(release_stream(one))) for one in releases}
    return Record(
        environment=record.environment,
        sightings=record.sightings,
        hosts=record.hosts,
        releases={**record.releases, **further},
    )
