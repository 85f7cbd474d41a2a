"""The chain over the log: three digests a row, each kept beside the row that it speaks for.

    data_hash = sha256(data)
    leaf      = sha256(0x00, every column but actor, data and the digests, then data_hash)
    hash      = sha256(0x01, hash of the row before, leaf, actor)
    genesis   = sha256(0x02, log_id, lineage)        the hash "before" position 1

Rule: a digest is over the stored bytes, never over something decoded and encoded again. Text is UTF-8, whole
numbers are eight bytes, big-endian and signed, and each run of bytes of no fixed length has its length said
in front of it, so that no two rows have the same bytes. Because a leaf takes the digest of the data, a
payload can be taken away later and everything else about its event still be proved.

The three are kept apart so that a change tells what it is: data changed where `data_hash` does not fit it,
another column where `leaf` does not, the actor where both fit and `hash` does not. With one digest over all,
the row would be known to be false and not what about it; that was dropped.

Nobody who may write the file is held off by a chain: whoever changes a row can reckon the rest anew. That is
what seals are for, which leave the machine (`events/seals.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

DIGEST_BYTES = 32

_NO_CAUSATION = -1  # in place of a length: not the same as a causation of no bytes
# position, version, schema, at_us, then the lengths of event id, stream, type, correlation and causation.
_NUMBERS = Struct(">x4q4Ii")  # x: the 0x00 that no other digest begins with
_LENGTH = Struct(">I")


Row = tuple[int, bytes, bytes, int, bytes, int, int, bytes, bytes, bytes | None, bytes, bytes, bytes, bytes]
"""A row as it is stored, texts as bytes: position, event id, stream, version, type, schema, at_us, actor,
correlation, causation, data, data_hash, leaf, hash."""


class Chained(NamedTuple):
    """The digests of one row, in the order of its columns."""

    data_hash: bytes
    leaf: bytes
    hash: bytes


def genesis(*, log_id: str, lineage: str) -> bytes:
    """What stands in the place of a hash before the first row of a log."""
    texts = (log_id.encode(), lineage.encode())
    return sha256(b"\x02" + b"".join(_LENGTH.pack(len(text)) + text for text in texts)).digest()


def leaf(  # noqa: PLR0913, PLR0917 - each is a column
    position: int,
    event_id: bytes,
    stream: bytes,
    version: int,
    type_name: bytes,
    schema: int,
    at_us: int,
    correlation: bytes,
    causation: bytes | None,
    data_hash: bytes,
) -> bytes:
    """The digest of what a row says, its actor aside; texts as the bytes of their UTF-8.

    Raises struct.error for a number that does not fit in eight bytes.
    """
    if causation is None:
        caused, cause = _NO_CAUSATION, b""
    else:
        caused, cause = len(causation), causation
    numbers = _NUMBERS.pack(
        position,
        version,
        schema,
        at_us,
        len(event_id),
        len(stream),
        len(type_name),
        len(correlation),
        caused,
    )
    return sha256(b"".join((numbers, event_id, stream, type_name, correlation, cause, data_hash))).digest()


def link(previous: bytes, row_leaf: bytes, actor: bytes) -> bytes:
    """The hash of a row: what came before, what it says and who (`kind:id`) said it."""
    return sha256(b"\x01" + previous + row_leaf + actor).digest()


def chained(  # noqa: PLR0913, PLR0917 - each is a column, in the order of a row
    previous: bytes,
    position: int,
    event_id: bytes,
    stream: str,
    version: int,
    type_name: str,
    schema: int,
    at_us: int,
    actor: str,
    correlation: bytes,
    causation: bytes | None,
    data: bytes,
) -> Chained:
    """The digests of a row that follows `previous`, the hash of the row before or `genesis`."""
    data_hash = sha256(data).digest()
    row_leaf = leaf(
        position,
        event_id,
        stream.encode(),
        version,
        type_name.encode(),
        schema,
        at_us,
        correlation,
        causation,
        data_hash,
    )
    return Chained(data_hash, row_leaf, link(previous, row_leaf, actor.encode()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """How far rows fit."""

    position: int  # of the last row that fits
    hash: bytes  # its hash
    bad: Row | None  # the first row that does not fit, None when all do


def walk(rows: Iterable[Row], *, previous: bytes, position: int) -> Walked:
    """Follow the chain over rows in the order of their positions, the first after `position`.

    `previous` is the hash at `position`. What `leaf` and `link` do is written out once more here: a million
    rows are verified in the time that the calls alone would take. A digest that is copied is ready sooner
    than a new one, and brings along what every link begins with.
    """
    pack, join, expected = _NUMBERS.pack, b"".join, position
    fresh, linking = sha256().copy, sha256(b"\x01").copy
    for row in rows:
        (
            at,
            event_id,
            stream,
            version,
            type_name,
            schema,
            at_us,
            actor,
            correlation,
            causation,
            data,
            data_hash,
            row_leaf,
            row_hash,
        ) = row
        expected += 1
        if causation is None:
            caused, cause = _NO_CAUSATION, b""
        else:
            caused, cause = len(causation), causation
        numbers = pack(
            at,
            version,
            schema,
            at_us,
            len(event_id),
            len(stream),
            len(type_name),
            len(correlation),
            caused,
        )
        reckoned = fresh()
        reckoned.update(data)
        digest = reckoned.digest()
        reckoned = fresh()
        reckoned.update(join((numbers, event_id, stream, type_name, correlation, cause, digest)))
        true_leaf = reckoned.digest()
        reckoned = linking()
        reckoned.update(previous + true_leaf + actor)
        true_hash = reckoned.digest()
        if true_hash != row_hash or true_leaf != row_leaf or digest != data_hash or at != expected:
            return Walked(position=expected - 1, hash=previous, bad=row)
        previous = true_hash
    return Walked(position=expected, hash=previous, bad=None)
