"""The four figures of delivery, by ISO week in UTC, as a pure function of the Releases that ended.

- A *change* is a Release of kind deploy or promotion that completed, failed or was rolled back. One that was
  superseded or cancelled never was anybody's version; rollbacks, reverts and adoptions bring nothing new.
- *Deployments* are changes that completed.
- A *failure* is a change that failed, that was rolled back by itself, or that a later rollback or revert
  names as the one it takes back, whenever that is: a week that is over may still get worse.
- *Lead time* is from the commit to the completion of the first Release that brought it here.
- *Time to restore* is from the start of a failed change to the completion of the next good Release of any
  kind but adoption: the one that took it back, or a later one where that one did not complete itself. Good is
  what completed and was not taken back.

Everything about a change counts in the week in which it ended. A clock that went back makes no negative time.
Where there is nothing to divide by or to sort there is no figure, which is None, never 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from events.kernel.clock import format_utc, parse_utc
from projections.views.delivery import CHANGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from projections.views.delivery import Delivery

_FAILED = ("failed", "rolled_back")
_COUNTED = ("completed", *_FAILED)
_P90 = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Lengths of time, in short."""

    seconds: tuple[float, ...]  # sorted

    @property
    def median(self) -> float | None:
        """The middle one, or halfway between the two in the middle; None: there is none."""
        return round(median(self.seconds), 3) if self.seconds else None

    @property
    def p90(self) -> float | None:
        """The shortest that is not shorter than nine of ten (nearest rank); None: there is none."""
        if not self.seconds:
            return None
        return round(self.seconds[math.ceil(_P90 * len(self.seconds)) - 1], 3)

    def as_json(self) -> dict[str, Any]:
        """The object in `metrics --json`."""
        return {"count": len(self.seconds), "median": self.median, "p90": self.p90}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a week, or some weeks together, come to."""

    deployments: int
    changes: int
    failures: int
    lead: Spread
    restore: Spread
    unrestored: int  # failures after which nothing good has completed yet

    @property
    def failure_rate(self) -> float | None:
        """Failures among changes, 0 to 1; None: there was no change."""
        return round(self.failures / self.changes, 4) if self.changes else None

    def as_json(self) -> dict[str, Any]:
        """The object in `metrics --json`; its keys are a published contract."""
        return {
            "deployments": self.deployments,
            "changes": self.changes,
            "failures": self.failures,
            "change_failure_rate": self.failure_rate,
            "lead_time_seconds": self.lead.as_json(),
            "time_to_restore_seconds": self.restore.as_json(),
            "unrestored": self.unrestored,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """An ISO week in UTC and its figures."""

    begins: date  # a Monday
    figures: Figures

    @property
    def name(self) -> str:
        """`2026-W47`."""
        year, number, _ = self.begins.isocalendar()
        return f"{year}-W{number:02}"

    def as_json(self) -> dict[str, Any]:
        """One of `weeks` in `metrics --json`."""
        return {"week": self.name, "begins": self.begins.isoformat(), **self.figures.as_json()}


def first_moment(now: datetime, *, weeks: int) -> str:
    """When the first of so many weeks began, of which the last one is the present: RFC 3339, UTC."""
    return format_utc(datetime.combine(_mondays(now, weeks)[0], time(), tzinfo=UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures of some weeks, each by itself and all of them as if they were one."""

    weeks: tuple[Week, ...]  # the present one last, also those in which nothing happened
    total: Figures


def report(deliveries: Sequence[Delivery], *, now: datetime, weeks: int) -> Report:
    """What so many weeks come to; `deliveries` are in the order in which they ended."""
    changes = [
        _judged(deliveries, number)
        for number, one in enumerate(deliveries)
        if one.kind in CHANGES and one.status in _COUNTED
    ]
    mondays = _mondays(now, weeks)
    return Report(
        weeks=tuple(
            Week(begins=monday, figures=_figures(one for one in changes if one.monday == monday))
            for monday in mondays
        ),
        total=_figures(one for one in changes if mondays[0] <= one.monday <= mondays[-1]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A change that ended, judged."""

    monday: date
    completed: bool
    failed: bool
    lead_seconds: float | None
    restore_seconds: float | None  # None: it did not fail, or nothing good has come yet


def _mondays(now: datetime, weeks: int) -> list[date]:
    newest = _monday(now)
    return [newest - timedelta(weeks=back) for back in range(weeks - 1, -1, -1)]


def _monday(moment: datetime) -> date:
    day = moment.astimezone(UTC).date()
    return day - timedelta(days=day.weekday())


def _judged(every: Sequence[Delivery], number: int) -> _Change:
    one = every[number]
    failed = one.status in _FAILED or one.taken_back is not None
    lead = _seconds(one.waited_since, one.ended_at) if one.waited_since is not None else None
    good = _next_good(every, number) if failed else None
    return _Change(
        monday=_monday(parse_utc(one.ended_at)),
        completed=one.status == "completed",
        failed=failed,
        lead_seconds=lead,
        restore_seconds=None if good is None else _seconds(one.started_at or one.requested_at, good.ended_at),
    )


def _next_good(every: Sequence[Delivery], number: int) -> Delivery | None:
    """The Release after which all was well: no earlier than the one that took it back, if one did."""
    remedy = every[number].taken_back or 0
    for later in range(number + 1, len(every)):
        one = every[later]
        if one.position < remedy or one.kind == "adoption":
            continue
        if one.status == "completed" and one.taken_back is None:
            return one
    return None


def _seconds(since: str, until: str) -> float:
    return max(0.0, (parse_utc(until) - parse_utc(since)).total_seconds())


def _figures(changes: Iterable[_Change]) -> Figures:
    counted = list(changes)
    failures = [one for one in counted if one.failed]
    restored = [one.restore_seconds for one in failures if one.restore_seconds is not None]
    return Figures(
        deployments=sum(one.completed for one in counted),
        changes=len(counted),
        failures=len(failures),
        lead=_spread(one.lead_seconds for one in counted if one.lead_seconds is not None),
        restore=_spread(restored),
        unrestored=len(failures) - len(restored),
    )


def _spread(seconds: Iterable[float]) -> Spread:
    return Spread(seconds=tuple(sorted(seconds)))
