"""Lengths of time as text, in the form Compose and Go use: `2s`, `1m30s`, `500ms`."""

from __future__ import annotations

import re

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")


def parse_duration(text: str) -> float:
    """Seconds. Raises ValueError."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text[:40]!r} is not a length of time such as 2s, 500ms or 1m30s")
    return round(sum(float(number) * _UNITS[unit] for number, unit in parts), 9)


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads as `seconds`: `1m30s`, `500ms`."""
    left = round(seconds * 1_000_000_000)
    parts: list[str] = []
    for unit, length in (("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count}{unit}")
    if left:
        unit, length = next(
            one for one in (("ms", 1_000_000), ("us", 1_000), ("ns", 1)) if left % one[1] == 0
        )
        parts.append(f"{left // length}{unit}")
    return "".join(parts) or "0s"
