"""Lengths of time in Compose's form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gitops.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2s", 2.0),
        ("500ms", 0.5),
        ("1m30s", 90.0),
        ("1h", 3600.0),
        ("1.5s", 1.5),
        ("2h0m0.5s", 7200.5),
    ],
)
def test_a_length_of_time_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "2 s", "s", "-2s", "2sx", "x2s", "1d", "2s 3s"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a length of time"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (2.0, "2s"),
        (90.0, "1m30s"),
        (3600.0, "1h"),
        (0.5, "500ms"),
        (1.5, "1s500ms"),
        (1e-9, "1ns"),
    ],
)
def test_a_length_of_time_is_written(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(some.integers(min_value=1, max_value=10**9 * 86_400))
def test_what_is_written_is_read_again(nanoseconds: int) -> None:
    seconds = round(nanoseconds / 1e9, 9)
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-9)
