"""A figure with its target, and how samples become one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table."""

    what: str
    value: float
    target: float
    unit: str  # behind a number, with its space: " ms", " x"
    detail: str  # how it came about, with the sample count
    at_least: bool = False  # the target, otherwise it is at most

    @property
    def met(self) -> bool:
        """Whether the value is within its target."""
        return self.value >= self.target if self.at_least else self.value <= self.target

    def row(self) -> tuple[str, str, str, str]:
        """What, measured, target, detail; a missed target is marked."""
        mark = "" if self.met else " **missed**"
        return (
            self.what,
            f"{_short(self.value)}{self.unit}{mark}",
            f"{'≥' if self.at_least else '≤'} {self.target:g}{self.unit}",
            self.detail,
        )


def median(samples: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(samples)


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that so many percent of all do not exceed (nearest rank)."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def seconds(value: float) -> str:
    """`1.25 s` or `80 ms`."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2f}"  # two digits say enough then


def p95(what: str, took: Sequence[float], *, target: float, samples: str) -> Figure:
    """How long something takes, in seconds; `samples` says what was counted."""
    return Figure(
        what=f"{what}: p95",
        value=percentile(took, 95),
        target=target,
        unit=" s",
        detail=f"{len(took)} {samples}; median {seconds(median(took))}",
    )
