"""What engines and Git last answered: `observed.db`, disposable.

It is no fold of the log and no truth about the past: whoever looks at a host writes here what it saw, whoever
looks at Git writes when, and status reads it without asking anybody. A look that finds nothing new leaves no
event; this is where its time is kept. When a host does not answer, what it answered last stays, marked
as unreachable. A file that is missing, damaged or of another layout is made anew: the next look fills it.

Its rows are read without pydantic, because `status` reads them and should not wait for that import.

What cannot be kept because the disk is full or read-only is not kept: no Release fails for it, and what is
shown then says how old it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from events.kernel.clock import format_utc, parse_utc
from projections.observed_file import ObservedFile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from pathlib import Path

    from projections.engine.port import ContainerState, Health


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedContainer:
    """A container as the engine showed it."""

    id: str  # 64 hex digits
    state: ContainerState
    health: Health
    version: str = ""  # hash of the definition that it was made from; empty: unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedService:
    """A service on a host; `drift` says in words how it differs from the Manifest, empty when it does not."""

    name: str
    image: str
    containers: tuple[ObservedContainer, ...] = ()
    drift: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostObservation:
    """What is known of one host in one environment."""

    environment: str  # `<project>/<name>`
    host: str
    reachable: bool | None  # None: something answers, but it cannot be told whether it is this host
    reason: str = ""  # why it is not reachable
    services: tuple[ObservedService, ...] = ()  # as of `at`
    at: datetime | None = None  # when the host last answered; None: never


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFailure:
    """The watched repository of an environment does not answer."""

    error: str  # the newest one
    since: datetime  # of the first failure in a row


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchAnswer:
    """When a watched branch last said where it points."""

    url: str  # of its repository, without credentials
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAnswer:
    """What a person's check of a host came to, whatever runs there."""

    answers: bool
    reason: str = ""  # why it does not
    at: datetime


class ObservedStore:
    """Reads and writes `observed.db`."""

    def __init__(self, path: Path) -> None:
        self._file = ObservedFile(path)

    def save(self, observation: HostObservation) -> None:
        """Replace what is known of a host, when there is room. Raises OutsideError `observed-unavailable`."""
        row = (
            observation.environment,
            observation.host,
            observation.reachable,
            observation.reason,
            json.dumps([_written(service) for service in observation.services]),
            None if observation.at is None else format_utc(observation.at),
        )
        self._file.write(lambda db: db.execute("INSERT OR REPLACE INTO host VALUES (?, ?, ?, ?, ?, ?)", row))

    def mark(self, environment: str, host: str, *, reachable: bool | None, reason: str) -> None:
        """Note that a host gives no answer (False) or cannot be trusted (None); its last answer stays."""
        former = next((one for one in self.load(environment) if one.host == host), None)
        if former is None:
            former = HostObservation(environment=environment, host=host, reachable=reachable)
        self.save(replace(former, reachable=reachable, reason=reason))

    def load(self, environment: str) -> tuple[HostObservation, ...]:
        """All hosts of an environment, sorted by name. Raises OutsideError `observed-unavailable`."""
        query = "SELECT name, reachable, reason, services, at FROM host WHERE environment = ? ORDER BY name"

        def read(db: sqlite3.Connection) -> tuple[HostObservation, ...]:
            return tuple(
                HostObservation(
                    environment=environment,
                    host=name,
                    reachable=None if reachable is None else bool(reachable),
                    reason=reason,
                    services=_services(services),
                    at=None if at is None else parse_utc(at),
                )
                for name, reachable, reason, services, at in db.execute(query, (environment,))
            )

        return self._file.work(read)

    def note_look(self, *environments: str, at: datetime) -> None:
        """Git answered a look for these environments; kept when there is room.

        Raises OutsideError `observed-unavailable`.
        """
        rows = [(environment, format_utc(at)) for environment in environments]

        def write(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO look VALUES (?, ?)", rows)
            db.executemany("DELETE FROM source WHERE environment = ?", [row[:1] for row in rows])

        self._file.write(write)

    def note_source_failure(self, environment: str, error: str, at: datetime) -> None:
        """Git did not answer; the time of the first failure in a row stays."""
        row = (environment, error, format_utc(at))
        statement = (
            "INSERT INTO source VALUES (?, ?, ?) "
            "ON CONFLICT (environment) DO UPDATE SET error = excluded.error"
        )
        self._file.write(lambda db: db.execute(statement, row))

    def source_failure(self, environment: str) -> SourceFailure | None:
        """Why Git does not answer, None when it did. Raises OutsideError `observed-unavailable`."""

        def read(db: sqlite3.Connection) -> SourceFailure | None:
            query = "SELECT error, since FROM source WHERE environment = ?"
            row = db.execute(query, (environment,)).fetchone()
            return None if row is None else SourceFailure(error=row[0], since=parse_utc(row[1]))

        return self._file.work(read)

    def looked_at(self, environment: str) -> datetime | None:
        """When Git was last looked at, None for never. Raises OutsideError `observed-unavailable`."""

        def read(db: sqlite3.Connection) -> datetime | None:
            row = db.execute("SELECT at FROM look WHERE environment = ?", (environment,)).fetchone()
            return None if row is None else parse_utc(row[0])

        return self._file.work(read)

    def note_answer(self, slug: str, ref: str, *, url: str, at: datetime) -> None:
        """A watched branch answered; `url` holds no credentials."""
        row = (slug, ref, url, format_utc(at))
        self._file.write(lambda db: db.execute("INSERT OR REPLACE INTO branch VALUES (?, ?, ?, ?)", row))

    def answers(self) -> dict[tuple[str, str], BranchAnswer]:
        """`{(slug, ref): its last answer}`, sorted. Raises OutsideError `observed-unavailable`."""

        def read(db: sqlite3.Connection) -> dict[tuple[str, str], BranchAnswer]:
            rows = db.execute("SELECT slug, ref, url, at FROM branch ORDER BY slug, ref")
            return {(slug, ref): BranchAnswer(url=url, at=parse_utc(at)) for slug, ref, url, at in rows}

        return self._file.work(read)

    def note_hosts(self, answers: Mapping[str, HostAnswer]) -> None:
        """Hosts were checked; kept when there is room. Raises OutsideError `observed-unavailable`."""
        rows = [(host, one.answers, one.reason, format_utc(one.at)) for host, one in answers.items()]
        self._file.write(lambda db: db.executemany("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?)", rows))

    def host_answers(self) -> dict[str, HostAnswer]:
        """By host, the newest that is known beside the log: a check, or a look that it answered.

        Raises OutsideError `observed-unavailable`.
        """

        def read(db: sqlite3.Connection) -> dict[str, HostAnswer]:
            checked = db.execute("SELECT host, answers, reason, at FROM answer ORDER BY at")
            seen = db.execute(
                "SELECT name, TRUE, '', MAX(at) FROM host WHERE reachable AND at IS NOT NULL GROUP BY name"
            )
            rows = sorted((*checked, *seen), key=lambda row: str(row[3]))
            return {
                host: HostAnswer(answers=bool(answers), reason=reason, at=parse_utc(at))
                for host, answers, reason, at in rows
            }

        return self._file.work(read)

    def note_images_asked(self, environment: str, at: datetime) -> None:
        """Registries were asked whether the environment's tags moved."""
        row = (environment, format_utc(at))
        self._file.write(lambda db: db.execute("INSERT OR REPLACE INTO images VALUES (?, ?)", row))

    def images_asked_at(self, environment: str) -> datetime | None:
        """When registries were asked so last, None for never. Raises OutsideError `observed-unavailable`."""

        def read(db: sqlite3.Connection) -> datetime | None:
            row = db.execute("SELECT at FROM images WHERE environment = ?", (environment,)).fetchone()
            return None if row is None else parse_utc(row[0])

        return self._file.work(read)

    def note_inspected(self, environment: str, at: datetime) -> None:
        """Every container of the environment was inspected."""
        row = (environment, format_utc(at))
        self._file.write(lambda db: db.execute("INSERT OR REPLACE INTO inspected VALUES (?, ?)", row))

    def inspected_at(self, environment: str) -> datetime | None:
        """When all its containers were inspected last, None for never.

        Raises OutsideError `observed-unavailable`.
        """

        def read(db: sqlite3.Connection) -> datetime | None:
            row = db.execute("SELECT at FROM inspected WHERE environment = ?", (environment,)).fetchone()
            return None if row is None else parse_utc(row[0])

        return self._file.work(read)

    def seen_in(self, container: str) -> str | None:
        """The environment in which a container was last seen, by its id. Raises as above."""

        def read(db: sqlite3.Connection) -> str | None:
            query = "SELECT environment FROM host WHERE instr(services, ?) ORDER BY environment"
            row = db.execute(query, (f'"{container}"',)).fetchone()
            return None if row is None else str(row[0])

        return self._file.work(read)


def _written(service: ObservedService) -> dict[str, Any]:
    """As `_service` reads it; by hand, because `asdict` copies what is written at once, field by field."""
    return {
        "name": service.name,
        "image": service.image,
        "containers": [
            {"id": one.id, "state": one.state, "health": one.health, "version": one.version}
            for one in service.containers
        ],
        "drift": service.drift,
    }


def _services(text: str) -> tuple[ObservedService, ...]:
    """Services as `save` wrote them. Raises KeyError, TypeError or ValueError for anything else."""
    written: list[dict[str, Any]] | dict[str, Any] = json.loads(text)
    if isinstance(written, dict):
        raise TypeError("services are a list")
    return tuple(_service(one) for one in written)


def _service(written: dict[str, Any]) -> ObservedService:
    return ObservedService(
        name=written["name"],
        image=written["image"],
        containers=tuple(
            ObservedContainer(
                id=one["id"],
                state=one["state"],
                health=one["health"],
                version=one.get("version", ""),  # a look of an older Stagecraft left it out
            )
            for one in written["containers"]
        ),
        drift=tuple(written["drift"]),
    )
