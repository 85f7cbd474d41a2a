"""One look-up for each image of a commit, however many environments render it.

What a commit's tags mean should not differ between the environments of one look, and a registry counts its
questions. So what was found for a commit is remembered for a short while; a failure never is.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from events.manifest import ImagePin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops.pins import Lookup

KEPT_SECONDS = 60.0
_MAX_COMMITS = 4
_Question = tuple[str, "Lookup"]


@dataclass(slots=True)
class _Known:
    since: float  # monotonic
    pins: dict[_Question, ImagePin] = field(default_factory=dict[_Question, ImagePin])


@dataclass(slots=True)
class Lookups:
    """What was found for the newest commits."""

    _commits: OrderedDict[str, _Known] = field(default_factory=OrderedDict[str, _Known])

    def known(self, revision: str, refs: Mapping[str, Lookup], *, now: float) -> dict[str, ImagePin]:
        """The pins among `refs` that were found for this commit a moment ago."""
        known = self._commits.get(revision)
        if known is None or now - known.since > KEPT_SECONDS:
            return {}
        return {ref: known.pins[ref, how] for ref, how in refs.items() if (ref, how) in known.pins}

    def remember(
        self, revision: str, refs: Mapping[str, Lookup], pins: Mapping[str, ImagePin], *, now: float
    ) -> None:
        """Keep what was looked up for a commit."""
        known = self._commits.get(revision)
        if known is None or now - known.since > KEPT_SECONDS:
            known = self._commits[revision] = _Known(now)
        self._commits.move_to_end(revision)
        known.pins.update({(ref, how): pins[ref] for ref, how in refs.items() if ref in pins})
        while len(self._commits) > _MAX_COMMITS:
            self._commits.popitem(last=False)
