"""When something ends by itself: lengths of time, moments, and what is neither."""

from __future__ import annotations

from datetime import timedelta

import pytest
import typer

from cli.until import moment
from tests.support.time import START


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("2h", timedelta(hours=2)),
        ("1h30m", timedelta(minutes=90)),
        ("2026-01-02T03:04:06Z", timedelta(seconds=1)),
        ("2026-01-02T05:04:05+01:00", timedelta(hours=1)),
    ],
)
def test_a_length_and_a_moment_mean_a_time(text: str, after: timedelta) -> None:
    assert moment(text, now=START) == START + after


def test_without_it_nothing_ends_by_itself() -> None:
    assert moment(None, now=START) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "0s",
        "-2h",
        "2026-01-02T03:04:05Z",
        "2025-01-01T00:00Z",
        "2026-02-01T00:00",
        "99999999999h",
    ],
)
def test_what_is_over_or_nobody_can_place_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        moment(text, now=START)
