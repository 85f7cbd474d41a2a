"""Places in the log by time and by position: how they are written, and what they mean."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from controller.moments import find_place, parse_moment, position_before, position_upto, shown_time
from events.kernel.errors import UserError
from tests.unit.projections.views.history import History

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 21, 13, 30, tzinfo=UTC)  # half past two in Berlin


@pytest.fixture
def history() -> Iterator[History]:
    made = History()
    yield made
    made.log.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("812", 812),
        ("#812", 812),
        ("now", "2026-11-21 14:30:00 +01:00"),
        ("14:05", "2026-11-21 14:05:00 +01:00"),
        ("9:05", "2026-11-21 09:05:00 +01:00"),
        ("14:05:30", "2026-11-21 14:05:30 +01:00"),
        ("14:31", "2026-11-20 14:31:00 +01:00"),
        ("2026-11-21", "2026-11-21 00:00:00 +01:00"),
        ("2026-07-01", "2026-07-01 00:00:00 +02:00"),
        ("2026-11-21 14:05", "2026-11-21 14:05:00 +01:00"),
        ("2026-11-21T14:05:00Z", "2026-11-21 14:05:00Z"),
        ("2026-11-21T14:05:00.250-05:00", "2026-11-21 14:05:00-05:00"),
        ("2h ago", "2026-11-21 12:30:00 +01:00"),
        ("1h30m ago", "2026-11-21 13:00:00 +01:00"),
        ("2 days ago", "2026-11-19 14:30:00 +01:00"),
        ("2h", "2026-11-21 12:30:00 +01:00"),
        ("1h 30m", "2026-11-21 13:00:00 +01:00"),
        ("30d ago", "2026-10-22 15:30:00 +02:00"),  # summer time then
        ("1 week 1 hour ago", "2026-11-14 13:30:00 +01:00"),
    ],
)
def test_a_moment_is_written_in_one_of_these_forms(text: str, expected: int | str) -> None:
    found = parse_moment(text, now=NOW, zone=BERLIN)
    assert (found if isinstance(found, int) else shown_time(found)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "25:00",
        "14:5",
        "2026-13-01",
        "h2",
        "ago",
        "3 fortnights ago",
        "-5",
        "9" * 30 + "w ago",
    ],
)
def test_what_is_no_moment_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_moment(text, now=NOW, zone=BERLIN)
    assert raised.value.code == "moment-unreadable"
    assert "'2h ago'" in raised.value.next


def test_without_a_zone_it_is_that_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        found = parse_moment("14:05", now=NOW)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert isinstance(found, datetime)
    assert shown_time(found) == "2026-11-21 14:05:00 +05:30"


def test_a_time_between_two_events_means_the_one_before(history: History) -> None:
    for _ in range(3):
        history.suspended()  # one each second from 03:04:05 on
    now = history.clock.now() + timedelta(hours=1)
    found = find_place(history.log, "2026-01-02T03:04:06.5Z", now=now)
    assert found.position == 2
    assert str(found) == "2026-01-02 03:04:06Z (position 2)"
    assert found.as_json() == {
        "position": 2,
        "recorded_at": "2026-01-02T03:04:06.000Z",
        "asked": "2026-01-02T03:04:06+00:00",
    }
    assert str(find_place(history.log, "#3", now=now)) == "position 3 (2026-01-02T03:04:07.000Z)"


def test_a_clock_that_went_back_leaves_positions_in_charge(history: History) -> None:
    history.suspended()  # 1 at 03:04:05
    history.clock.advance(3600)
    history.resumed()  # 2 at 04:04:06
    history.clock.advance(-3600)
    history.suspended()  # 3 at 03:04:07, after 2
    now = history.clock.now() + timedelta(days=1)

    def position(text: str) -> int:
        return find_place(history.log, text, now=now, zone=UTC).position

    assert position("2026-01-02T03:04:05Z") == 1
    behind = history.clock.now() - timedelta(minutes=1)
    assert find_place(history.log, "now", now=behind).position == 3
    assert position("2026-01-02T03:30:00Z") == 3
    assert position("2026-01-02T04:04:06Z") == 3
    assert position_before(history.log, "2026-01-02T03:30:00Z", now=now) == 3
    assert position_before(history.log, "2026-01-02T03:04:07Z", now=now) == 1


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("2026-01-02T03:04:04Z", "moment-before-log", "its first event is of 2026-01-02T03:04:05.000Z"),
        ("2030-01-01", "moment-in-future", "it is 2026-01-02 "),
        ("0", "position-unknown", "holds the positions 1 to 2"),
        ("3", "position-unknown", "holds the positions 1 to 2"),
    ],
)
def test_a_place_that_the_log_does_not_have_is_an_error(
    history: History, text: str, code: str, says: str
) -> None:
    history.suspended()
    history.resumed()
    with pytest.raises(UserError) as raised:
        find_place(history.log, text, now=history.clock.now(), zone=UTC)
    assert raised.value.code == code
    assert says in raised.value.why
    assert re.search("stagecraft|time that is over", raised.value.next)


def test_an_empty_log_has_no_place_at_all(history: History) -> None:
    now = history.clock.now()
    for text, code in (("1s ago", "moment-before-log"), ("1", "position-unknown")):
        with pytest.raises(UserError) as raised:
            find_place(history.log, text, now=now)
        assert raised.value.code == code


def test_since_and_until_include_what_they_name(history: History) -> None:
    for _ in range(4):
        history.suspended()
    now = history.clock.now()
    assert position_before(history.log, "2", now=now) == 1
    assert position_before(history.log, "2026-01-02T03:04:06Z", now=now) == 1
    assert position_before(history.log, "2020-01-01", now=now) == 0
    assert position_upto(history.log, "2", now=now) == 2
    assert position_upto(history.log, "2026-01-02T03:04:06Z", now=now) == 2
    assert position_upto(history.log, "2020-01-01", now=now) == 0
    assert position_upto(history.log, "2100-01-01", now=now) == 4
    with pytest.raises(UserError, match="has not come yet"):
        position_before(history.log, "2100-01-01", now=now)
