"""A look at the newest events before a command changes something; it takes as long as reading them does.

What looks through a whole log, seals and their signatures included, is imported for a log that does not fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.kernel.errors import OutsideError
from events.rows import fits

if TYPE_CHECKING:
    from controller.home import Home
    from events.log import EventLog

RECENT_EVENTS = 2000


def check_recent(home: Home, log: EventLog) -> None:
    """Look at the newest events, and through all of them where one does not fit; the log is marked then.

    Raises what `look_through` and `note_problem` raise.
    """
    if _recent_fit(log):
        return
    from controller.auditing import look_through, note_problem  # noqa: PLC0415  # only a damaged log needs it

    note_problem(log, look_through(home))


def _recent_fit(log: EventLog) -> bool:
    """Whether the newest events fit the chain; False also where they cannot be read."""
    try:
        end = log.anchor()
        after = max(0, end.position - RECENT_EVENTS)
        previous = log.anchor(after).hash
        for row in log.rows(after=after, limit=end.position - after):
            if row.hash is None:  # of an older Stagecraft, on a disk that cannot be written
                return True
            if not fits(row, previous=previous):
                return False
            previous = row.hash
    except (OutsideError, ValueError):  # ValueError: a position that must be there is not
        return False
    return previous == end.hash
