"""The digests of an event, for every store alike: what a row holds is what is hashed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.chain import chained
from events.log import LogRow

if TYPE_CHECKING:
    from events.chain import Chained
    from events.envelope import StoredEvent


def row_of(event: StoredEvent, *, previous: bytes) -> LogRow:
    """The row of an event that follows a row with the hash `previous`, or the genesis of the log.

    Raises struct.error for a number that does not fit in eight bytes.
    """
    digests = digests_of(LogRow(*event, None, None, None), previous)
    return LogRow(*event, digests.data_hash, digests.leaf, digests.hash)


def fits(row: LogRow, *, previous: bytes) -> bool:
    """Whether the digests of a row are those of what it says, after a row with the hash `previous`."""
    digests = digests_of(row, previous)
    return (digests.data_hash, digests.leaf, digests.hash) == (row.data_hash, row.leaf, row.hash)


def digests_of(row: LogRow, previous: bytes) -> Chained:
    """The digests that a row would have after one with the hash `previous`."""
    return chained(
        previous=previous,
        position=row.position,
        event_id=row.event_id,
        stream=row.stream,
        version=row.version,
        type_name=row.type,
        schema=row.schema,
        at_us=row.at_us,
        actor=row.actor,
        correlation=row.correlation,
        causation=row.causation,
        data=row.data,
    )
