"""The rule of a Traefik router, as far as it says which hosts and paths it is for.

    Host(`a`) || Host(`b`) && PathPrefix(`/x`)      → a; b with /x

`&&` binds before `||`, and brackets group. Anything else a rule can ask for (a header, a method, a pattern)
has no place in a route: such a rule is not understood, rather than understood in part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"\s*(?:(?P<sign>\|\||&&|[()])|(?P<name>[A-Za-z]+)\(\s*(?:`(?P<plain>[^`]*)`|\"(?P<quoted>[^\"\\]*)\")\s*\))"
)
_MOST_PLACES = 50


class RuleUnclearError(ValueError):
    """A rule that says more than hosts and paths; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """What a rule is for: a host, a path below it, or both."""

    host: str | None = None
    path: str | None = None


def places_of(rule: str, *, hosts: str = "Host", paths: str | None = "PathPrefix") -> tuple[Place, ...]:
    """The places that a rule is for, in its order.

    `hosts` and `paths` are what the rule calls them. Raises RuleUnclearError.
    """
    reading = _Reading(tokens=_tokens(rule), hosts=hosts, paths=paths)
    found = reading.alternatives()
    if reading.at != len(reading.tokens):
        raise RuleUnclearError("its brackets do not match")
    return tuple(dict.fromkeys(found))


def _tokens(rule: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    text = rule.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise RuleUnclearError("it asks for more than a host and the start of a path")
        value = match["plain"] if match["quoted"] is None else match["quoted"]
        found.append((match["sign"] or match["name"], value or ""))
        at = match.end()
    return found


@dataclass(slots=True, kw_only=True)
class _Reading:
    """One pass over the tokens of a rule."""

    tokens: list[tuple[str, str]]
    hosts: str
    paths: str | None
    at: int = 0

    def alternatives(self) -> list[Place]:
        """What stands between `||`."""
        found = self._together()
        while self._take("||"):
            found += self._together()
        return found

    def _together(self) -> list[Place]:
        """What stands between `&&`."""
        found = self._one()
        while self._take("&&"):
            other = self._one()
            found = [_both(first, second) for first in found for second in other]
            if len(found) > _MOST_PLACES:
                raise RuleUnclearError("it is for very many places")
        return found

    def _one(self) -> list[Place]:
        if self._take("("):
            found = self.alternatives()
            if not self._take(")"):
                raise RuleUnclearError("its brackets do not match")
            return found
        if self.at == len(self.tokens):
            raise RuleUnclearError("it ends too early")
        name, value = self.tokens[self.at]
        self.at += 1
        if name == self.hosts:
            return [Place(host=value)]
        if name == self.paths:
            return [Place(path=value)]
        raise RuleUnclearError(f"{name} is more than a host and the start of a path")

    def _take(self, sign: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at] == (sign, ""):
            self.at += 1
            return True
        return False


def _both(first: Place, second: Place) -> Place:
    """The place that is in both."""
    if first.host is not None and second.host is not None and first.host != second.host:
        raise RuleUnclearError("no request asks for two hosts")
    if first.path is not None and second.path is not None and first.path != second.path:
        raise RuleUnclearError("it asks for two paths at once")
    return Place(host=first.host or second.host, path=first.path or second.path)
