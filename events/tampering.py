"""What was done to a row that does not fit: the kind, and which column as far as it can be known.

`events/chain.py` keeps three digests for each row, so most of it is read off: data that do not fit
`data_hash` were edited, an envelope that does not fit `leaf` was edited, and where both fit and the hash
does not, the actor was changed. Before that the row is tried in other places: one that fits where another
stands was moved there, and whether that one came here tells an exchange from a gap that was closed.

Where a column has few possible values (actors, streams and types that the log knows) they are tried against
the digest, and a hit is certain: it says what the row said before. All this costs passes over the log; it is
done once, for the first row that does not fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from events.broken import LogProblem
from events.chain import leaf, link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from events.chain import Row
    from events.raw_log import RawLog

_SCHEMAS = range(1, 33)


@dataclass(frozen=True, slots=True)
class _Fields:
    """A row by names."""

    position: int
    event_id: bytes
    stream: bytes
    version: int
    type_name: bytes
    schema: int
    at_us: int
    actor: bytes
    correlation: bytes
    causation: bytes | None
    data: bytes
    data_hash: bytes
    leaf: bytes
    hash: bytes

    def leaf_with(self, **changed: Any) -> bytes:  # noqa: ANN401 - columns of any type
        """The leaf that the row would have with some columns changed."""
        names = ("position", "event_id", "stream", "version", "type_name", "schema", "at_us")
        more = ("correlation", "causation", "data_hash")
        values: dict[str, Any] = {name: getattr(self, name) for name in (*names, *more)}
        return leaf(**(values | changed))


def name_problem(raw: RawLog, row: Row, *, previous: bytes, good: int, upto: int) -> LogProblem:
    """What became of the first row that does not fit, behind `good` with the hash `previous`.

    `upto` is the last position that the log has or should have.
    """
    one = _Fields(*row)
    expected = good + 1
    if one.position != expected:
        return _gap(one, expected)
    moved = _moved(raw, one, upto)
    if moved is not None:
        return moved
    if sha256(one.data).digest() != one.data_hash:
        return _data_edited(raw, one, upto)
    if one.leaf_with() != one.leaf:
        return _envelope_edited(raw, one, previous=previous, upto=upto)
    return _link_broken(raw, one, previous=previous)


def _gap(one: _Fields, expected: int) -> LogProblem:
    if one.position < expected:
        words = f"a row stands at position {one.position}, where no log begins"
        return LogProblem(position=one.position, kind="edit", detail=words)
    last = one.position - 1
    gone = f"event {expected} is" if last == expected else f"events {expected} to {last} are"
    return LogProblem(position=expected, kind="drop", detail=f"{gone} gone")


def _moved(raw: RawLog, one: _Fields, upto: int) -> LogProblem | None:
    """The row fits at another position: exchanged with the one there, or moved up into a gap."""
    if one.leaf_with() == one.leaf:
        return None
    origin = next(
        (at for at in range(1, upto + 2) if at != one.position and one.leaf_with(position=at) == one.leaf),
        None,
    )
    if origin is None:
        return None
    there = raw.row(origin)
    if there is not None:
        other = _Fields(*there)
        if other.leaf_with(position=one.position) == other.leaf:
            words = f"the events of positions {one.position} and {origin} were exchanged"
            return LogProblem(position=one.position, kind="swap", detail=words)
    if origin > one.position:
        words = f"what stands here is event {origin}: events were taken out and the rest numbered anew"
        return LogProblem(position=one.position, kind="drop", detail=words)
    words = f"what stands here is event {origin}: something was put in before it"
    return LogProblem(position=one.position, kind="rewrite", detail=words)


def _data_edited(raw: RawLog, one: _Fields, upto: int) -> LogProblem:
    digest = sha256(one.data).digest()
    for other in _others(raw, one, upto):
        if other.data_hash == digest and sha256(other.data).digest() == one.data_hash:
            words = f"the data of positions {one.position} and {other.position} were exchanged"
            return LogProblem(position=one.position, kind="swap", detail=words)
    if one.leaf_with(data_hash=digest) == one.leaf:
        return _edit(one, "the column data_hash was changed")
    return _edit(one, "the data were changed")


def _envelope_edited(raw: RawLog, one: _Fields, *, previous: bytes, upto: int) -> LogProblem:
    """The data fit their digest, the envelope does not fit the leaf."""
    if link(previous, one.leaf_with(), one.actor) == one.hash:
        return _edit(one, "the column leaf was changed")
    for column, value in _candidates(raw, one):
        if one.leaf_with(**{column: value}) == one.leaf:
            was = value.decode(errors="replace") if isinstance(value, bytes) else value
            return _edit(one, f"the {_COLUMN_WORDS[column]} was changed; it was {was}")
    for other in _others(raw, one, upto):
        of_here = link(previous, other.leaf, other.actor) == one.hash  # its content, and what speaks for it
        data_of_here = one.leaf_with(data_hash=other.data_hash) == one.leaf
        if of_here or data_of_here or other.leaf_with(position=one.position) == one.leaf:
            words = f"the contents of positions {one.position} and {other.position} were exchanged"
            return LogProblem(position=one.position, kind="swap", detail=words)
    if link(previous, one.leaf, one.actor) != one.hash:
        return _edit(one, "the data or the envelope, and the digests beside them, were changed")
    return _edit(
        one, "the envelope was changed: id, time, correlation, cause, or data and their digest together"
    )


def _link_broken(raw: RawLog, one: _Fields, *, previous: bytes) -> LogProblem:
    """Data and envelope fit their digests; the hash fits not."""
    before = raw.version_before(one.stream, one.position)
    if one.version != before + 1:
        stream = one.stream.decode(errors="replace")
        words = f"version {before + 1} of {stream} is gone, and the rest numbered anew"
        return LogProblem(position=one.position, kind="drop", detail=words)
    computed = link(previous, one.leaf, one.actor)
    if _follows(raw, one.position, computed):
        return _edit(one, "the column hash was changed")
    shown = one.actor.decode(errors="replace")
    for actor in raw.actors():
        if link(previous, one.leaf, actor) == one.hash:
            words = f"the actor was changed to {shown}; it was {actor.decode(errors='replace')}"
            return LogProblem(position=one.position, kind="actor", detail=words)
    words = f"the actor was changed to {shown}"
    return LogProblem(position=one.position, kind="actor", detail=words)


def _follows(raw: RawLog, position: int, row_hash: bytes) -> bool:
    """Whether the next row, or the head behind the last one, goes on from this hash."""
    after = raw.row(position + 1)
    if after is not None:
        following = _Fields(*after)
        return link(row_hash, following.leaf, following.actor) == following.hash
    head = raw.head()
    return head is not None and head.hash == row_hash


def _candidates(raw: RawLog, one: _Fields) -> Iterator[tuple[str, Any]]:
    """Columns with few possible values, and what they may have been."""
    yield from (("schema", number) for number in _SCHEMAS)
    yield from (("version", number) for number in range(1, one.position + 1))
    yield from (("type_name", name) for name in raw.types())
    yield from (("stream", name) for name in raw.streams())
    yield "causation", None
    before = raw.row(one.position - 1)
    if before is not None:
        earlier = _Fields(*before)
        yield "causation", earlier.event_id
        yield "correlation", earlier.correlation
    yield "correlation", one.event_id
    after = raw.row(one.position + 1)
    if after is not None:
        following = _Fields(*after)
        yield "correlation", following.correlation
        if following.causation is not None:
            yield "event_id", following.causation


def _others(raw: RawLog, one: _Fields, upto: int) -> Iterator[_Fields]:
    return (_Fields(*row) for row in raw.rows(after=0, upto=upto) if row[0] != one.position)


def _edit(one: _Fields, words: str) -> LogProblem:
    return LogProblem(position=one.position, kind="edit", detail=words)


_COLUMN_WORDS = {
    "schema": "schema",
    "version": "version",
    "type_name": "type",
    "stream": "stream",
    "causation": "cause",
    "correlation": "correlation",
    "event_id": "event id",
}
