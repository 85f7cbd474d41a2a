"""The end of the log in a file: what a transaction has to know before it builds on it.

The newest row must be the one that the head names, and its digests those of what it says. That costs two
look-ups and one hash, and means that no append ever covers up a cut or an edited end.

Whoever appended last knows the end already. As long as nothing was written since, by this connection or by
any other, SQLite would answer from pages that it holds: to look again showed nothing, and took a fifth of
what an append takes beside its flush. So both numbers are compared that SQLite keeps about this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from events.broken import LogBrokenError, LogProblem
from events.chain import genesis
from events.log import LogRow
from events.rows import fits

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from events.streams import StreamName

    Moment: TypeAlias = tuple[int, int]

_HEAD = "SELECT log_id, lineage, position, hash, broken FROM log_head"
# The newest row, whatever its number, and the hash before it; a row without its stream shows no name.
_NEWEST = """
SELECT e.position, e.event_id, coalesce(s.name, ''), e.version, e.type, e.schema, e.at_us, e.actor,
       e.correlation, e.causation, e.data, e.data_hash, e.leaf, e.hash,
       (SELECT hash FROM events WHERE position = e.position - 1)
FROM events AS e LEFT JOIN streams AS s USING (stream_no) ORDER BY e.position DESC LIMIT 1
"""


class End(NamedTuple):
    """What a connection knows of the end of its log, for as long as `moment_of` it is the same."""

    position: int
    hash: bytes
    streams: Mapping[StreamName, tuple[int, int]]  # number and version, of some
    moment: Moment


class _Head(NamedTuple):
    """The row of `log_head`."""

    log_id: str
    lineage: str
    position: int
    hash: bytes
    broken: str | None  # the problem as JSON

    def genesis(self) -> bytes:
        """The hash before the first event."""
        return genesis(log_id=self.log_id, lineage=self.lineage)


def moment_of(connection: sqlite3.Connection) -> Moment:
    """Another one after every change of the file: by others, and by this connection.

    What was undone counts as a change. Inside a transaction that writes nobody else can change the file.
    """
    by_others: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return by_others, connection.total_changes


def end_of(connection: sqlite3.Connection, last: End | None, *, file: str) -> End:
    """The end of the log, `last` if nothing happened since then; inside a transaction that writes.

    Raises LogBrokenError when nothing may be appended.
    """
    moment = moment_of(connection)
    if last is not None and last.moment == moment:
        return last
    head = _Head._make(connection.execute(_HEAD).fetchone())
    if head.broken is not None:
        raise LogBrokenError(LogProblem.from_json(head.broken), file=file)
    problem = _problem(connection, head)
    if problem is not None:
        raise LogBrokenError(problem, file=file)
    return End(position=head.position, hash=head.hash, streams={}, moment=moment)


def _problem(connection: sqlite3.Connection, head: _Head) -> LogProblem | None:
    """What is wrong between the head and the newest row, None: they belong together."""
    position = head.position
    found = connection.execute(_NEWEST).fetchone()
    newest_position: int = 0 if found is None else found[0]
    if newest_position < position:
        detail = f"the head says {position} events, the newest that is there is {newest_position}"
        return LogProblem(
            position=newest_position + 1, kind="tail" if newest_position else "all", detail=detail
        )
    if newest_position > position:
        detail = f"the head knows nothing of events after {position}"
        return LogProblem(position=position + 1, kind="rewrite", detail=detail)
    *row, before = found or (head.genesis(), None)
    if row[-1] != head.hash:
        detail = "the newest event is not the one that the head names"
        return LogProblem(position=max(position, 1), kind="rewrite", detail=detail)
    if found is not None and not fits(LogRow._make(row), previous=before or head.genesis()):
        detail = "the newest event does not say what was hashed"
        return LogProblem(position=position, kind="edit", detail=detail)
    return None
