"""Names behind pseudonyms, in a table of their own that can be erased.

The log is never changed, so it must not hold what a person may ask to have forgotten. An event carries a
pseudonym; this directory alone knows whose it is. To erase an actor is to remove the row: the trail in the
log stays whole and points at nobody. If the same person comes back they get a new pseudonym, because to
recognise them would mean to have kept something.

The directory has a file of its own, `actors.db`: a copy of the log that leaves the machine carries no
names, and a backup of names can have its own, shorter life. A table inside `events.db` would share neither.
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Protocol, TypeVar

from events.envelope import Actor, ActorKind
from events.kernel.errors import OutsideError, error_code
from events.sqlite_file import FileKind, SqliteFile, disk_is_full

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from events.reserve import Reserve

T = TypeVar("T")

ACTORS_UNAVAILABLE = error_code(
    "actors-unavailable", "The file with the names behind pseudonyms cannot be opened, read or written."
)
ACTORS_TOO_NEW = error_code(
    "actors-too-new", "The file with the names behind pseudonyms was written by a newer Stagecraft."
)


class ActorDirectory(Protocol):
    """Who is behind an actor id."""

    def pseudonym(self, kind: ActorKind, name: str, address: str = "") -> Actor:
        """The actor of this kind, name and address: the same one each time until it is erased.

        Raises OutsideError `actors-unavailable`.
        """
        ...

    def name_of(self, actor_id: str) -> str | None:
        """The name behind `actor_id`, None when it is unknown or erased."""
        ...

    def ids_of(self, name: str) -> tuple[str, ...]:
        """The ids behind which somebody of this name stands, of whatever kind and address, sorted."""
        ...

    def erase(self, actor_id: str) -> None:
        """Forget name and address for good; a second call does nothing."""
        ...

    def close(self) -> None:
        """Release the store; a second call does nothing."""
        ...


def _new_id() -> str:
    """48 random bits: enough for any number of people, short enough to read aloud."""
    return f"act-{secrets.token_hex(6)}"


class MemoryActorDirectory:
    """A directory in a dictionary."""

    def __init__(self) -> None:
        self._people: dict[str, tuple[ActorKind, str, str]] = {}
        self._lock = threading.Lock()

    def pseudonym(self, kind: ActorKind, name: str, address: str = "") -> Actor:
        """The actor of this kind, name and address."""
        person = (kind, name, address)
        with self._lock:
            known = next((actor_id for actor_id, one in self._people.items() if one == person), None)
            actor_id = known or _new_id()
            self._people[actor_id] = person
        return Actor(kind=kind, id=actor_id)

    def name_of(self, actor_id: str) -> str | None:
        """The name behind `actor_id`."""
        person = self._people.get(actor_id)
        return None if person is None else person[1]

    def ids_of(self, name: str) -> tuple[str, ...]:
        """The ids of all of this name."""
        with self._lock:
            return tuple(sorted(one for one, person in self._people.items() if person[1] == name))

    def erase(self, actor_id: str) -> None:
        """Forget name and address."""
        with self._lock:
            self._people.pop(actor_id, None)

    def close(self) -> None:
        """Nothing to release."""


_TABLE = """
CREATE TABLE actors (
    actor_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    UNIQUE (kind, name, address)
) STRICT
"""
_KNOWN = "SELECT actor_id FROM actors WHERE kind = ? AND name = ? AND address = ?"
_NEW = "INSERT INTO actors (actor_id, kind, name, address) VALUES (?, ?, ?, ?)"
_NAME = "SELECT name FROM actors WHERE actor_id = ?"
_IDS = "SELECT actor_id FROM actors WHERE name = ? ORDER BY actor_id"
_ERASE = "DELETE FROM actors WHERE actor_id = ?"

ACTORS = FileKind(
    noun="file of names",
    application_id=0x5354_4143,  # "STAC"
    version=1,
    tables=(_TABLE,),
    journal="DELETE",  # a write-ahead log would keep an erased name until its next checkpoint
    pragmas=("secure_delete = ON",),  # what is deleted is overwritten with zeros
    unavailable=ACTORS_UNAVAILABLE,
    too_new=ACTORS_TOO_NEW,
)


class SqliteActorDirectory:
    """A directory in the file at `path`; threads and processes may share it.

    With a `reserve` a person who rolls back gets an id on a full disk too.
    """

    def __init__(self, path: Path, *, reserve: Reserve | None = None) -> None:
        self._path = path
        self._reserve = reserve
        self._file = self._with_room(lambda: SqliteFile(path, ACTORS))

    def pseudonym(self, kind: ActorKind, name: str, address: str = "") -> Actor:
        """The actor of this kind, name and address, durable when the call returns."""
        person = (kind, name, address)
        with self._file.reading() as connection:
            known = connection.execute(_KNOWN, person).fetchone()
        if known is None:
            known = (self._with_room(lambda: self._entered(person)),)
        return Actor(kind=kind, id=known[0])

    def _with_room(self, write: Callable[[], T]) -> T:
        """Write, on a full disk once more with a part of the reserve."""
        try:
            return write()
        except OutsideError as error:
            full = disk_is_full(error, self._path)
            if not full or self._reserve is None or not self._reserve.lend():
                raise
        return write()

    def _entered(self, person: tuple[str, str, str]) -> str:
        """The id of a person who was not here a moment ago; another process may have been faster."""
        with self._file.writing() as connection:
            known = connection.execute(_KNOWN, person).fetchone()
            if known is not None:
                found: str = known[0]
                return found
            actor_id = _new_id()
            connection.execute(_NEW, (actor_id, *person))
            return actor_id

    def name_of(self, actor_id: str) -> str | None:
        """The name behind `actor_id`."""
        with self._file.reading() as connection:
            found = connection.execute(_NAME, (actor_id,)).fetchone()
        return None if found is None else found[0]

    def ids_of(self, name: str) -> tuple[str, ...]:
        """The ids of all of this name."""
        with self._file.reading() as connection:
            return tuple(actor_id for (actor_id,) in connection.execute(_IDS, (name,)))

    def erase(self, actor_id: str) -> None:
        """Forget name and address, also in the free pages of the file."""
        with self._file.writing() as connection:
            connection.execute(_ERASE, (actor_id,))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
