"""The log of a folder that nobody else works with: which one it is, and whether it verifies.

Seals from outside that speak of more events than the log has are left out of the look: a copy is always older
than the newest seal, and that is no fault of it. Who needs to know what it lacks compares the positions.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from controller.auditing import look_through
from events.sqlite import SqliteEventLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.home import Home
    from events.ed25519 import PublicKeys
    from events.seals import Seal


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedLog:
    """A log and what a look through it found."""

    log_id: str
    lineage: str
    position: int  # of the newest event
    hash: bytes  # the chain up to there
    problem: dict[str, Any] | None  # the first thing that is wrong, as `audit verify --json` has it
    vouches: str  # what the look says of the log's end, for people


def look_at(home: Home, *, seals: Sequence[Seal] = (), keys: PublicKeys | None = None) -> CheckedLog:
    """Look through the log of `home`, which must be there, and the blobs beside it.

    A log of an older Stagecraft is brought up to date. Raises OutsideError `log-unavailable` or
    `log-too-new`, UserError `seal-untrusted`.
    """
    with closing(SqliteEventLog(home.events_db)) as log:
        anchor = log.anchor()
    outside = [one for one in seals if one.log_id == anchor.log_id and one.position <= anchor.position]
    verdict = look_through(home, outside=outside, keys=keys)
    return CheckedLog(
        log_id=anchor.log_id,
        lineage=anchor.lineage,
        position=anchor.position,
        hash=anchor.hash,
        problem=None if verdict.problem is None else asdict(verdict.problem),
        vouches=verdict.vouches,
    )
