"""Versions of Semantic Versioning 2.0.0, and ranges of them as npm writes ranges.

A range is `||` between sets, and a set is what all its parts allow: `>=1.2 <2`, `1.x`, `~1.4`, `^2.0`,
`1.2 - 1.5`, `*`; a comma does as well as a blank. A set allows pre-releases only if one of its parts names
one, and then any within its bounds: so `>=1.0.0-0` follows release candidates from version to version. An
upper bound that names none keeps out those of the version that it excludes: `<2` has no `2.0.0-rc.1`.

Written here because the maintained libraries compare single versions alone, and the ranges of the others let
a pre-release in for its own three numbers only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_Part = tuple[int, int, str]  # of a pre-release: numbers come before words
_Key = tuple[int, int, int, bool, tuple[_Part, ...]]
_Bound = tuple[str, _Key]  # one of < <= >= > and what it speaks of

_LONGEST: Final = 256
_NUMBER = r"(?:0|[1-9][0-9]{0,15})"
_IDENTIFIER = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_PRE = rf"(?:-(?P<pre>{_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
_VERSION = re.compile(
    rf"v?(?P<numbers>{_NUMBER}\.{_NUMBER}\.{_NUMBER}){_PRE}(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_OPERATOR = r"(?P<operator>\^|~>?|[<>]=?|=)?"
_PLACE = rf"(?:{_NUMBER}|[xX*])"
_PARTIAL = rf"v?(?P<numbers>{_PLACE}(?:\.{_PLACE}){{0,2}}){_PRE}"
_COMPARATOR = re.compile(rf"{_OPERATOR}\s*{_PARTIAL}(?=[\s,]|\Z)", re.ASCII)
_HYPHEN = re.compile(r"(?P<low>\S+)\s+-\s+(?P<high>\S+)", re.ASCII)
_BETWEEN = re.compile(r"[\s,]*", re.ASCII)
_WILD = frozenset("xX*")
_PLACES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version; what follows `+` says nothing about which is newer."""

    key: _Key  # in the order of precedence

    @property
    def pre_release(self) -> bool:
        """Whether it comes before the release of its three numbers."""
        return not self.key[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRange:
    """Which versions are wanted."""

    text: str  # as it was written, blanks evened out
    sets: tuple[tuple[_Bound, ...], ...]
    with_pre: tuple[bool, ...]  # of each set: whether it names a pre-release

    def allows(self, version: Version) -> bool:
        """Whether the version is in the range."""
        return any(
            (pre or not version.pre_release) and all(_holds(version.key, bound) for bound in bounds)
            for bounds, pre in zip(self.sets, self.with_pre, strict=True)
        )


def parse_version(text: str) -> Version | None:
    """The version that a tag names, as in `v1.2.3`; None when it names none."""
    found = _VERSION.fullmatch(text) if len(text) <= _LONGEST else None
    return None if found is None else Version(key=_key(*_numbers(found["numbers"]), pre=found["pre"]))


def parse_range(text: str) -> VersionRange:
    """The range in `text`. Raises ValueError with what cannot be read."""
    if len(text) > _LONGEST:
        raise ValueError(f"a range of versions has at most {_LONGEST} characters")
    read = [_set(part.strip(" \t,")) for part in text.split("||")]
    return VersionRange(
        text=" ".join(text.split()),
        sets=tuple(bounds for bounds, _pre in read),
        with_pre=tuple(pre for _bounds, pre in read),
    )


def _set(text: str) -> tuple[tuple[_Bound, ...], bool]:
    """The bounds of one set, and whether one of its parts names a pre-release."""
    if not text:
        raise ValueError("a range of versions is empty; `*` means all")
    if hyphen := _HYPHEN.fullmatch(text):
        low, high = _bounds(f">={hyphen['low']}"), _bounds(f"<={hyphen['high']}")
        return (*low[0], *high[0]), low[1] or high[1]
    bounds, named, at = list[_Bound](), False, 0
    while at < len(text):
        found = _COMPARATOR.match(text, at)
        if found is None:
            raise _unreadable(text[at:])
        more, pre = _bounds(found[0])
        bounds += more
        named = named or pre
        between = _BETWEEN.match(text, found.end())
        at = found.end() if between is None else between.end()
    return tuple(bounds), named


def _bounds(text: str) -> tuple[tuple[_Bound, ...], bool]:
    """What one part such as `~1.4` means. Raises ValueError."""
    found = _COMPARATOR.fullmatch(text)
    if found is None:
        raise _unreadable(text)
    places = found["numbers"].split(".")
    given = next((at for at, place in enumerate(places) if place in _WILD), len(places))
    numbers, pre = [int(place) for place in places[:given]], found["pre"]
    senseless = any(place not in _WILD for place in places[given:]) or (pre and given < _PLACES)
    if senseless or (not given and found["operator"] in {"<", ">"}):  # `1.x.2`, `1.2-rc`, `<*`
        raise _unreadable(text)
    return _meaning(found["operator"] or "=", numbers, pre), pre is not None


def _meaning(operator: str, numbers: list[int], pre: str | None) -> tuple[_Bound, ...]:
    """The bounds for numbers of which the last may be missing: `<=1.2` and `>1.2` speak of all 1.2.x."""
    if not numbers:
        return ()
    low, last = _key(*_filled(numbers), pre=pre), len(numbers) - 1
    partial = len(numbers) < _PLACES
    match operator:
        case ">" | "<=" if partial:
            above = _after(numbers, last)
            return ((">=", _key(*above)),) if operator == ">" else (("<", _before(above)),)
        case "<" if not pre:
            return (("<", _before(_filled(numbers))),)
        case ">=" | ">" | "<=" | "<":
            return ((operator, low),)
        case "=" if not partial:
            return ((">=", low), ("<=", low))
        case _:
            return ((">=", low), ("<", _before(_after(numbers, _fixed(operator, numbers)))))


def _fixed(operator: str, numbers: list[int]) -> int:
    """The last place that may not change: of `^` the first that is not 0, of `~` the minor number."""
    last = len(numbers) - 1
    if operator == "^":
        return next((at for at, number in enumerate(numbers) if number), last)
    return last if operator == "=" else min(1, last)


def _holds(key: _Key, bound: _Bound) -> bool:
    operator, other = bound
    match operator:
        case "<":
            return key < other
        case "<=":
            return key <= other
        case ">":
            return key > other
        case _:
            return key >= other


def _key(major: int, minor: int, patch: int, *, pre: str | None = None) -> _Key:
    parts = [] if pre is None else pre.split(".")
    return major, minor, patch, pre is None, tuple(_part(one) for one in parts)


def _part(text: str) -> _Part:
    return (0, int(text), "") if text.isdecimal() else (1, 0, text)


def _before(numbers: tuple[int, int, int]) -> _Key:
    """What comes before all pre-releases of a version."""
    return (*numbers, False, ())


def _numbers(text: str) -> tuple[int, int, int]:
    major, minor, patch = map(int, text.split("."))
    return major, minor, patch


def _filled(numbers: list[int]) -> tuple[int, int, int]:
    major, minor, patch = [*numbers, 0, 0][:_PLACES]
    return major, minor, patch


def _after(numbers: list[int], place: int) -> tuple[int, int, int]:
    """The next version that differs at a place, zeros behind it."""
    return _filled([*numbers[:place], numbers[place] + 1])


def _unreadable(text: str) -> ValueError:
    return ValueError(f"{text!r} is no range of versions; write one as in '>=1.2 <2', 1.x, ~1.4, ^2.0 or *")
