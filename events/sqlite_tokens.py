"""The counters of `Tokens` in `events.db`, in a table of their own.

The table is no part of version 1 of the file: it is made when the first token is drawn, so that a log of an
older Stagecraft needs no migration, and the older one, which knows no tokens, can go on using the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.tokens import LockLostError, Token

if TYPE_CHECKING:
    import sqlite3

_TABLE = """
CREATE TABLE IF NOT EXISTS tokens (
    name TEXT PRIMARY KEY,
    number INTEGER NOT NULL CHECK (number > 0)
) STRICT, WITHOUT ROWID
"""
_THERE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'tokens'"
_NEWEST = "SELECT number FROM tokens WHERE name = ?"
_PUT = """
INSERT INTO tokens (name, number) VALUES (:name, :number)
ON CONFLICT (name) DO UPDATE SET number = excluded.number
"""


def newest(connection: sqlite3.Connection, name: str) -> int:
    """The number of the newest token of `name`, 0 when none was ever drawn."""
    if connection.execute(_THERE).fetchone() is None:
        return 0
    found: tuple[int] | None = connection.execute(_NEWEST, (name,)).fetchone()
    return 0 if found is None else found[0]


def draw(connection: sqlite3.Connection, name: str, *, after: int) -> Token:
    """The token that follows `after`, inside the caller's transaction. Raises LockLostError."""
    found = newest(connection, name)
    if found != after:
        raise LockLostError(name, mine=after, newest=found)
    put(connection, name, after + 1)
    return Token(name=name, number=after + 1)


def put(connection: sqlite3.Connection, name: str, number: int) -> None:
    """Make `number` the newest token of `name`, whatever it was, inside the caller's transaction."""
    connection.execute(_TABLE)
    connection.execute(_PUT, {"name": name, "number": number})


def every(connection: sqlite3.Connection) -> list[tuple[str, int]]:
    """The newest token of each name that has one."""
    if connection.execute(_THERE).fetchone() is None:
        return []
    return connection.execute("SELECT name, number FROM tokens ORDER BY name").fetchall()
