"""Which place in the log a person means by `14:05`, `2h ago`, a position or a Release.

A place is a position: everything up to it counts, nothing behind it. A time means the last event, in the
order of positions, that was recorded at or before it. So a clock that went back makes nothing of the log
unreachable, and two people who say the same time mean the same events.

A time without an offset is the operator's own, and is shown with the offset it was read with. `14:05` is the
last time the clock showed it: today, or yesterday if that is still to come. A date is its midnight. A bare
length of time is so long ago, for the log holds nothing that is to come. Where a `zone` is taken, None means
this machine's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from typing import TYPE_CHECKING, Any

from events.kernel.clock import format_utc
from events.kernel.errors import UserError, error_code

if TYPE_CHECKING:
    from datetime import tzinfo

    from events.log import EventLog

MOMENT_UNREADABLE = error_code("moment-unreadable", "A text names neither a time nor a position of the log.")
MOMENT_BEFORE_LOG = error_code("moment-before-log", "The log begins later than the time that was asked for.")
MOMENT_IN_FUTURE = error_code("moment-in-future", "The time that was asked for has not come yet.")
POSITION_UNKNOWN = error_code("position-unknown", "The log has no event at this position.")

_NOW = "now"  # the newest event, also where this clock is behind the one that wrote it
_POSITION = re.compile(r"#?(\d{1,18})")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?")
_AGO = re.compile(r"((?:\d+\s?[a-z]+\s?)+?)(?:\s?ago)?")
_PART = re.compile(r"(\d+)\s?([a-z]+)")
_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), timedelta(seconds=1)),
    **dict.fromkeys(("m", "min", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("w", "week", "weeks"), timedelta(weeks=1)),
}
_FORMS = (
    "14:05, 2026-11-21, '2026-11-21 14:05', 2026-11-21T14:05:00+01:00, '2h ago', or a position such as 812"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in the log: what stood there up to `position`."""

    position: int
    recorded_at: datetime | None  # of the event at `position`; None: there is none yet
    asked: datetime | None = None  # the time that was asked for, in the operator's zone; None: a position

    def as_json(self) -> dict[str, Any]:
        """The object `at` of what is shown as of a place."""
        return {
            "position": self.position,
            "recorded_at": None if self.recorded_at is None else format_utc(self.recorded_at),
            "asked": None if self.asked is None else self.asked.isoformat(timespec="seconds"),
        }

    def __str__(self) -> str:
        """`2026-11-21 14:05:00 +01:00 (position 812)`."""
        if self.asked is not None:
            return f"{shown_time(self.asked)} (position {self.position})"
        if self.recorded_at is None:
            return f"position {self.position}"
        return f"position {self.position} ({format_utc(self.recorded_at)})"


def shown_time(moment: datetime) -> str:
    """`2026-11-21 14:05:00 +01:00`: a time and the offset it was read with."""
    return moment.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z").replace("+", " +")


def parse_moment(text: str, *, now: datetime, zone: tzinfo | None = None) -> int | datetime:
    """The position or the time, aware, that `text` means. Raises UserError `moment-unreadable`."""
    stripped = text.strip()
    if found := _POSITION.fullmatch(stripped):
        return int(found[1])
    try:
        return _time(stripped, now=now, zone=zone)
    except (ValueError, OverflowError, KeyError, OSError) as error:
        raise UserError(
            MOMENT_UNREADABLE,
            f"{text[:60]!r} is neither a time nor a position of the log",
            next=f"write it as one of {_FORMS}",
        ) from error


def find_place(log: EventLog, text: str, *, now: datetime, zone: tzinfo | None = None) -> Place:
    """The place in the log that `text` means.

    Raises UserError `moment-unreadable`, `moment-before-log`, `moment-in-future` or `position-unknown`.
    """
    moment = parse_moment(text, now=now, zone=zone)
    if isinstance(moment, int):
        return _at_position(log, moment)
    if text.strip() == _NOW and (head := log.head()):
        return Place(position=head, recorded_at=_recorded(log, head), asked=moment)
    return _at_time(log, moment, now=now)


def position_before(log: EventLog, text: str, *, now: datetime, zone: tzinfo | None = None) -> int:
    """Behind which position the events *since* a time or a position stand.

    Raises UserError `moment-unreadable`, `moment-in-future` or `position-unknown`.
    """
    moment = parse_moment(text, now=now, zone=zone)
    if isinstance(moment, int):
        return max(0, _at_position(log, moment).position - 1)
    _refuse_future(moment, now=now)
    return log.position_at(moment - timedelta(microseconds=1))


def position_upto(log: EventLog, text: str, *, now: datetime, zone: tzinfo | None = None) -> int:
    """The last position that counts *until* a time or a position; a time may be before the log, or to come.

    Raises UserError `moment-unreadable` or `position-unknown`.
    """
    moment = parse_moment(text, now=now, zone=zone)
    return _at_position(log, moment).position if isinstance(moment, int) else log.position_at(moment)


def _at_position(log: EventLog, position: int) -> Place:
    head = log.head()
    if not 0 < position <= head:
        holds = f"the log holds the positions 1 to {head}" if head else "the log is empty"
        raise UserError(
            POSITION_UNKNOWN,
            f"the log has no position {position}",
            why=holds,
            next=f"stagecraft events list --after {max(0, head - 5)}",
        )
    return Place(position=position, recorded_at=_recorded(log, position))


def _at_time(log: EventLog, moment: datetime, *, now: datetime) -> Place:
    _refuse_future(moment, now=now)
    position = log.position_at(moment)
    if position == 0:
        first = log.read(limit=1)
        begins = f"its first event is of {format_utc(first[0].time)}" if first else "nothing was recorded yet"
        raise UserError(
            MOMENT_BEFORE_LOG,
            f"at {shown_time(moment)} the log had not begun",
            why=begins,
            next="stagecraft events list --limit 1",
        )
    return Place(position=position, recorded_at=_recorded(log, position), asked=moment)


def _refuse_future(moment: datetime, *, now: datetime) -> None:
    if moment > now:
        raise UserError(
            MOMENT_IN_FUTURE,
            f"{shown_time(moment)} has not come yet",
            why=f"it is {shown_time(now.astimezone(moment.tzinfo))}",
            next="name a time that is over, or leave it out for what is now",
        )


def _recorded(log: EventLog, position: int) -> datetime:
    return log.read(after=position - 1, limit=1)[0].time


def _time(text: str, *, now: datetime, zone: tzinfo | None) -> datetime:
    """Raises ValueError, OverflowError, KeyError for a unit that nobody knows, and OSError."""
    if text == _NOW:
        return now.astimezone(zone)
    if ago := _AGO.fullmatch(text.lower()):
        return (now - _length(ago[1])).astimezone(zone)
    if _CLOCK.fullmatch(text):
        return _last_time(
            clock_time.fromisoformat(text.zfill(5) if text.count(":") == 1 else text), now, zone
        )
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return _aware(datetime.combine(date.fromisoformat(text), clock_time()), zone)
    found = datetime.fromisoformat(text)
    return _aware(found, zone) if found.tzinfo is None else found


def _length(text: str) -> timedelta:
    """`1h 30m`, `2 days`. Raises KeyError and OverflowError."""
    return sum((int(number) * _UNITS[unit] for number, unit in _PART.findall(text)), timedelta())


def _last_time(shown: clock_time, now: datetime, zone: tzinfo | None) -> datetime:
    """When the operator's clock last showed a time."""
    today = now.astimezone(zone).date()
    found = _aware(datetime.combine(today, shown), zone)
    return found if found <= now else _aware(datetime.combine(today - timedelta(days=1), shown), zone)


def _aware(naive: datetime, zone: tzinfo | None) -> datetime:
    """A time of the operator's clock, by the rules that their zone had at that time."""
    return naive.astimezone() if zone is None else naive.replace(tzinfo=zone)
