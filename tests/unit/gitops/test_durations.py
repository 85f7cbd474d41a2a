"""Lengths of time in Compose's form."""

from __future__ import annotations

import pytest

from gitops.durations import parse_duration


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
