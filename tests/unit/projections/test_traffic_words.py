"""The line about requests."""

from __future__ import annotations

import pytest

from events.catalog.release import TrafficProof
from projections.traffic_words import duration_words, traffic_words


def words(**changes: int) -> str:
    known = {"requests": 1204, "failed": 0, "longest_gap_ms": 31, "drain_ms": 920, "cut": 0}
    return traffic_words(TrafficProof.model_validate(known | changes).model_dump(mode="json"))


def test_the_proof_is_one_line() -> None:
    assert words() == (
        "1,204 requests during the switch, 0 failed, longest gap 31 ms, drained in 0.9 s, 0 connections cut"
    )


def test_one_is_not_said_as_several_and_thousands_are_grouped() -> None:
    assert words(requests=1, failed=1, cut=1) == (
        "1 request during the switch, 1 failed, longest gap 31 ms, drained in 0.9 s, 1 connection cut"
    )
    assert "12,345 failed" in words(failed=12345)


def test_without_a_probe_no_failure_and_no_gap_is_claimed() -> None:
    assert words(requests=0, longest_gap_ms=0, drain_ms=12, cut=3) == (
        "no requests of our own during the switch, drained in 12 ms, 3 connections cut"
    )


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [(0, "0 ms"), (899, "899 ms"), (900, "0.9 s"), (1000, "1.0 s"), (61_040, "61.0 s")],
)
def test_durations_are_in_the_unit_that_people_read(milliseconds: int, said: str) -> None:
    assert duration_words(milliseconds) == said
