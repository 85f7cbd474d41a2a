"""What engines and Git last answered: `observed.db`, disposable.

It is no fold of the log and no truth about the past: whoever looks at a host writes here what it saw, whoever
looks at Git writes when, and status reads it without asking anybody. A look that finds nothing new leaves no
event; this is where its time is kept. When a host does not answer, what it answered last stays, marked
as unreachable. A file that is missing, damaged or of another layout is made anew: the next look fills it.

Each call opens the file for itself. That costs a fraction of a millisecond, works from any thread, and a
file that was deleted meanwhile harms nothing. An open connection was dropped for these. Its rows are read
without pydantic, because `status` reads them and should not wait for that import.

What cannot be kept because the disk is full or read-only is not kept: no Release fails for it, and what is
shown then says how old it is.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from events.kernel.clock import format_utc, parse_utc
from events.kernel.errors import OutsideError, error_code

if TYPE_CHECKING:
    from projections.engine.port import ContainerState, Health

OBSERVED_UNAVAILABLE = error_code(
    "observed-unavailable", "The file that keeps what engines last answered cannot be read or written."
)

_LAYOUT = 4  # user_version of the file
_BUSY_SECONDS = 5.0
_NOT_OURS = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR")  # the last: a table of another shape
_TABLES = (
    """
CREATE TABLE IF NOT EXISTS host (
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    reachable INTEGER,
    reason TEXT NOT NULL,
    services TEXT NOT NULL,
    at TEXT,
    PRIMARY KEY (environment, name)
) WITHOUT ROWID
""",
    "CREATE TABLE IF NOT EXISTS look (environment TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID",
    """
CREATE TABLE IF NOT EXISTS source (
    environment TEXT PRIMARY KEY, error TEXT NOT NULL, since TEXT NOT NULL
) WITHOUT ROWID
""",
    "CREATE TABLE IF NOT EXISTS images (environment TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID",
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedContainer:
    """A container as the engine showed it."""

    id: str  # 64 hex digits
    state: ContainerState
    health: Health


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


class ObservedStore:
    """Reads and writes `observed.db`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, observation: HostObservation) -> None:
        """Replace what is known of a host, when there is room. Raises OutsideError `observed-unavailable`."""
        row = (
            observation.environment,
            observation.host,
            observation.reachable,
            observation.reason,
            json.dumps([asdict(service) for service in observation.services]),
            None if observation.at is None else format_utc(observation.at),
        )
        self._write(lambda db: db.execute("INSERT OR REPLACE INTO host VALUES (?, ?, ?, ?, ?, ?)", row))

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

        return self._with_file(read)

    def note_look(self, *environments: str, at: datetime) -> None:
        """Git answered a look for these environments; kept when there is room.

        Raises OutsideError `observed-unavailable`.
        """
        rows = [(environment, format_utc(at)) for environment in environments]

        def write(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO look VALUES (?, ?)", rows)
            db.executemany("DELETE FROM source WHERE environment = ?", [row[:1] for row in rows])

        self._write(write)

    def note_source_failure(self, environment: str, error: str, at: datetime) -> None:
        """Git did not answer; the time of the first failure in a row stays."""
        row = (environment, error, format_utc(at))
        statement = (
            "INSERT INTO source VALUES (?, ?, ?) "
            "ON CONFLICT (environment) DO UPDATE SET error = excluded.error"
        )
        self._write(lambda db: db.execute(statement, row))

    def source_failure(self, environment: str) -> SourceFailure | None:
        """Why Git does not answer, None when it did. Raises OutsideError `observed-unavailable`."""

        def read(db: sqlite3.Connection) -> SourceFailure | None:
            query = "SELECT error, since FROM source WHERE environment = ?"
            row = db.execute(query, (environment,)).fetchone()
            return None if row is None else SourceFailure(error=row[0], since=parse_utc(row[1]))

        return self._with_file(read)

    def looked_at(self, environment: str) -> datetime | None:
        """When Git was last looked at, None for never. Raises OutsideError `observed-unavailable`."""

        def read(db: sqlite3.Connection) -> datetime | None:
            row = db.execute("SELECT at FROM look WHERE environment = ?", (environment,)).fetchone()
            return None if row is None else parse_utc(row[0])

        return self._with_file(read)

    def note_images_asked(self, environment: str, at: datetime) -> None:
        """Registries were asked whether the environment's tags moved."""
        row = (environment, format_utc(at))
        self._write(lambda db: db.execute("INSERT OR REPLACE INTO images VALUES (?, ?)", row))

    def images_asked_at(self, environment: str) -> datetime | None:
        """When registries were asked so last, None for never. Raises OutsideError `observed-unavailable`."""

        def read(db: sqlite3.Connection) -> datetime | None:
            row = db.execute("SELECT at FROM images WHERE environment = ?", (environment,)).fetchone()
            return None if row is None else parse_utc(row[0])

        return self._with_file(read)

    def _write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Run `work` in one transaction, or leave it where nothing can be written."""
        try:
            self._with_file(work)
        except OutsideError as error:
            if not _has_no_room(error.__cause__):
                raise

    def _with_file(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one transaction; a file that cannot be understood is made anew, once."""
        try:
            try:
                with self._opened() as db:
                    return work(db)
            except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
                if isinstance(error, sqlite3.Error) and not _is_damaged(error):
                    raise
            self._forget()
            with self._opened() as db:
                return work(db)
        except (sqlite3.Error, OSError) as error:
            raise OutsideError(
                OBSERVED_UNAVAILABLE,
                f"cannot use {self._path}",
                why=str(error),
                next="check the folder's permissions and free space; the file may be deleted at any time",
            ) from error

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        kept = self._path.is_file() or os.access(self._path.parent, os.W_OK)
        with closing(sqlite3.connect(self._path if kept else ":memory:", timeout=_BUSY_SECONDS)) as db:
            db.execute("PRAGMA synchronous = OFF")  # it may be lost at any time
            (layout,) = db.execute("PRAGMA user_version").fetchone()
            with db:
                if layout != _LAYOUT:
                    db.execute("DROP TABLE IF EXISTS host")
                    db.execute("DROP TABLE IF EXISTS look")
                    db.execute("DROP TABLE IF EXISTS source")
                    db.execute("DROP TABLE IF EXISTS images")
                    db.execute(f"PRAGMA user_version = {_LAYOUT}")
                for table in _TABLES:
                    db.execute(table)
                yield db

    def _forget(self) -> None:
        """Remove the file with its journal."""
        for suffix in ("", "-journal", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _has_no_room(cause: BaseException | None) -> bool:
    """Whether the disk is full or read-only."""
    if isinstance(cause, OSError):
        return cause.errno in {errno.EDQUOT, errno.ENOSPC, errno.EROFS}
    name: str = getattr(cause, "sqlite_errorname", "")
    return name.startswith(("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR_WRITE"))


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
            ObservedContainer(id=one["id"], state=one["state"], health=one["health"])
            for one in written["containers"]
        ),
        drift=tuple(written["drift"]),
    )


def _is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file is no database of ours; a lock or a full disk is no reason to throw it away."""
    name: str = getattr(error, "sqlite_errorname", "")
    return name.startswith(_NOT_OURS)
