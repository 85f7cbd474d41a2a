"""Which Releases an answer about a service or a container needs, out of all that ever touched it.

A service that is exchanged with every Release has as many as the environment; what runs came with the last
few. The rows are replayed, which is cheap, and only the streams of those Releases are read: all since the
oldest container came that was there when one last came. Whatever went after that is among them. One that
went by somebody's hand is in no event and would keep all since it came, so there is a bound.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

_MOST = 50  # Releases of a service, the newest

Place = tuple[str, str]  # project and name


def releases_of_service(tables: sqlite3.Connection, service: str, place: Place) -> tuple[str, ...]:
    """The Releases in which the service's containers of now came and went, on any host."""
    rows = _rows(tables, service, place)
    hosts = {row["host"] for row in rows}
    since = min((_since([row for row in rows if row["host"] == host]) for host in hosts), default=0)
    return _named(row for row in rows if row["position"] >= since)[-_MOST:]


def releases_of_container(
    tables: sqlite3.Connection, container: str, service: str, place: Place
) -> tuple[str, ...]:
    """Those that name the container and, if it has not gone, all that touched its service since it came."""
    rows = _rows(tables, service, place)
    own = [row for row in rows if row["container"] == container]
    gone = bool(own) and own[-1]["came"] == 0
    came = min((row["position"] for row in own), default=0)
    later = () if gone else _named(row for row in rows if row["position"] >= came)
    return tuple(dict.fromkeys((*_named(own), *later[-_MOST:])))


def _since(rows: list[sqlite3.Row]) -> int:
    """Where the oldest container came that was there when one last came."""
    born: dict[str, int] = {}
    there: set[str] = set()
    since = 0
    for row in rows:
        if row["came"]:
            there.add(row["container"])
            born.setdefault(row["container"], row["position"])
            since = min(born[one] for one in there)
        else:
            there.discard(row["container"])
    return since


def _rows(tables: sqlite3.Connection, service: str, place: Place) -> list[sqlite3.Row]:
    """What came and went, in the order of the log; what an exchange brought before what it took."""
    query = (
        "SELECT host, container, position, release, came FROM trace_containers"
        " WHERE service = ? AND project = ? AND name = ? ORDER BY position, came DESC"
    )
    return tables.execute(query, (service, *place)).fetchall()


def _named(rows: Iterable[sqlite3.Row]) -> tuple[str, ...]:
    """The Releases of rows, each once."""
    return tuple(dict.fromkeys(row["release"] for row in rows))
