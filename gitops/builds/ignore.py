"""What a `.dockerignore` leaves out of a build context.

The engine's builder does not apply the file to a context that it is sent, so whoever sends one has to. The
rules are Docker's: patterns from the top of the context, the last one that fits decides, `!` takes back, `*`
and `?` stay within a folder, `**` is any number of folders, and what fits a folder fits all below it.

Patterns come from a repository that may be hostile, so a path is matched part by part, without backtracking
over the whole of it; the time is bounded by the product of the two lengths.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from dataclasses import dataclass

MAX_PATTERNS = 1000
_MAX_PATTERN = 500
_ANY_FOLDERS = "**"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    takes_back: bool
    parts: tuple[re.Pattern[str] | None, ...]  # None: any number of folders

    def fits(self, path: tuple[str, ...]) -> bool:
        """Whether the pattern fits the path or a folder that it is in."""
        reached = {0}
        for part in self.parts:
            if part is None:
                reached = set(range(min(reached), len(path) + 1))
            else:
                reached = {at + 1 for at in reached if at < len(path) and part.match(path[at])}
            if not reached:
                return False
        return max(reached) > 0


@dataclass(frozen=True, slots=True)
class Ignored:
    """The rules of one file."""

    rules: tuple[_Rule, ...] = ()

    def __contains__(self, path: str) -> bool:
        """Whether `path`, from the top of the context, is left out."""
        parts = tuple(path.split("/"))
        out = False
        for rule in self.rules:
            if rule.takes_back == out and rule.fits(parts):
                out = not rule.takes_back
        return out


def ignored(text: str) -> Ignored:
    """The rules that `text` has; lines beyond any honest number or length say nothing."""
    rules: list[_Rule] = []
    for line in text.removeprefix("\ufeff").splitlines()[:MAX_PATTERNS]:
        words = line.strip()
        if not words or line.startswith("#") or len(words) > _MAX_PATTERN:
            continue
        takes_back = words.startswith("!")
        cleaned = posixpath.normpath("/" + words.removeprefix("!").strip()).lstrip("/")
        if cleaned:
            rules.append(_Rule(takes_back=takes_back, parts=_parts(cleaned)))
    return Ignored(tuple(rules))


def _parts(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    parts: list[re.Pattern[str] | None] = []
    for text in pattern.split("/"):
        if text.startswith(_ANY_FOLDERS):
            parts.append(None)  # `**.js` is `**/*.js`
        if text != _ANY_FOLDERS:
            parts.append(re.compile(fnmatch.translate(_as_fnmatch(text))))
    return tuple(parts)


def _as_fnmatch(text: str) -> str:
    """One part of a pattern as Python writes it: `[!a]` for `[^a]`, `[*]` for an escaped star."""
    written = re.sub(r"\*{2,}", "*", text).replace("[^", "[!")
    return re.sub(r"\\(.)", lambda found: f"[{found[1]}]", written)
