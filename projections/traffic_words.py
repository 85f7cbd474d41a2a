"""What became of requests during a Release, in words: one line, the same on every screen.

It reads what `json.loads` makes of `events.catalog.release.TrafficProof`, because commands that only read
import no event class.
"""

from __future__ import annotations

from collections.abc import Mapping

_SECOND_MS = 1000


def traffic_words(proof: Mapping[str, int]) -> str:
    """How many requests there were, what became of them, and how long old containers took to be empty."""
    asked = proof["requests"]
    if asked:
        failed, gap = proof["failed"], duration_words(proof["longest_gap_ms"])
        said = f"{_counted(asked, 'request')} during the switch, {failed:,} failed, longest gap {gap}"
    else:
        said = "no requests of our own during the switch"
    drained = duration_words(proof["drain_ms"])
    return f"{said}, drained in {drained}, {_counted(proof['cut'], 'connection')} cut"


def duration_words(milliseconds: int) -> str:
    """`31 ms`, `0.9 s`: in seconds from a tenth of one less than a second on."""
    if milliseconds < _SECOND_MS * 9 // 10:
        return f"{milliseconds} ms"
    return f"{milliseconds / _SECOND_MS:.1f} s"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
