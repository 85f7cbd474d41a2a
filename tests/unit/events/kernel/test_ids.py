"""Event ids and release ids."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from uuid import RFC_4122

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.kernel.clock import SystemClock
from events.kernel.ids import SystemIds, format_release_id, uuid7
from tests.support.time import FakeClock

MILLISECONDS = st.integers(0, 2**48 - 1)
RANDOMNESS = st.integers(0, 2**74 - 1)


@given(MILLISECONDS, RANDOMNESS)
def test_a_uuid7_has_the_layout_of_rfc_9562(milliseconds: int, randomness: int) -> None:
    made = uuid7(milliseconds, randomness)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == milliseconds
    assert ((made.int >> 64 & 0xFFF) << 62) | made.int & (2**62 - 1) == randomness


def test_a_uuid7_is_the_example_of_rfc_9562() -> None:
    randomness = (0xCC3 << 62) | 0x18C4DC0C0C07398F
    assert str(uuid7(0x017F22E279B0, randomness)) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(MILLISECONDS, MILLISECONDS, RANDOMNESS, RANDOMNESS)
def test_a_later_millisecond_sorts_later(one: int, two: int, some: int, other: int) -> None:
    if one != two:
        first, second = uuid7(one, some), uuid7(two, other)
        assert (first < second) == (first.bytes < second.bytes) == (str(first) < str(second)) == (one < two)


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  # as hypothesis asks
def test_an_event_id_carries_its_clocks_millisecond(moment: datetime) -> None:
    made = SystemIds(FakeClock(moment)).event_id()
    carried = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=made.int >> 80)
    assert carried == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def test_event_ids_of_one_moment_differ() -> None:
    ids = SystemIds(FakeClock())
    assert len({ids.event_id() for _ in range(1000)}) == 1000


def test_a_release_id_is_its_moment_in_utc() -> None:
    moment = datetime(2026, 11, 21, 5, 4, 54, 123999, tzinfo=timezone(timedelta(hours=2)))
    assert format_release_id(moment) == "rel-20261121-030454123"
    assert SystemIds(FakeClock(moment)).release_id() == "rel-20261121-030454123"


def test_a_release_id_needs_an_aware_moment() -> None:
    with pytest.raises(ValueError, match="naive"):
        format_release_id(datetime(2026, 1, 1))  # noqa: DTZ001  # the case


@given(st.lists(st.integers(-5000, 5000), min_size=1, max_size=20))
def test_release_ids_rise_however_the_clock_jumps(steps: list[int]) -> None:
    clock = FakeClock()
    ids = SystemIds(clock)
    made = [ids.release_id()]
    for step in steps:
        clock.advance(step / 1000)
        made.append(ids.release_id())
    assert made == sorted(set(made))
    assert all(re.fullmatch(r"rel-\d{8}-\d{9}", one) for one in made)


def test_threads_get_different_release_ids() -> None:
    ids = SystemIds(SystemClock())
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(ids.release_id) for _ in range(400)]
    assert len({one.result() for one in made}) == 400
