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
    return LogRow(*event, *digests_of(event, previous))


def fits(row: LogRow, *, previous: bytes) -> bool:
    """Whether the digests of a row are those of what it says, after a row with the hash `previous`."""
    return digests_of(row, previous) == (row.data_hash, row.leaf, row.hash)


def digests_of(row: StoredEvent | LogRow, previous: bytes) -> Chained:
    """The digests that an event would have after a row with the hash `previous`."""
    return chained(previous, *row[:11])
