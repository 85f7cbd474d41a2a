"""Time as an argument."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.kernel.clock import SystemClock, format_utc, parse_utc


def test_the_system_clock_is_aware_and_in_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)


def test_sleeping_moves_the_monotonic_reading() -> None:
    clock = SystemClock()
    started = clock.monotonic()
    asyncio.run(clock.sleep(0.02))
    assert 0.02 <= clock.monotonic() - started < 5


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 21, 3, 4, 54, 123999, tzinfo=UTC), "2026-11-21T03:04:54.123Z"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000Z"),
        (
            datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2))),
            "2025-12-31T23:30:00.000Z",
        ),
    ],
)
def test_a_time_is_written_in_utc_with_milliseconds(moment: datetime, text: str) -> None:
    assert format_utc(moment) == text


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.timezones()))  # noqa: DTZ001  # as hypothesis asks
def test_reading_is_the_inverse_of_writing(moment: datetime) -> None:
    assert moment - parse_utc(format_utc(moment)) < timedelta(milliseconds=1)


def test_reading_takes_any_offset() -> None:
    assert parse_utc("2026-01-01T01:30:00+02:00") == datetime(2025, 12, 31, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-01-01T01:30:00", "2026-01-01", "yesterday"])
def test_reading_refuses_a_time_without_an_offset(text: str) -> None:
    with pytest.raises(ValueError, match=r"no offset|Invalid isoformat"):
        parse_utc(text)


def test_writing_refuses_a_naive_time() -> None:
    with pytest.raises(ValueError, match="naive"):
        format_utc(datetime(2026, 1, 1))  # noqa: DTZ001  # the case
