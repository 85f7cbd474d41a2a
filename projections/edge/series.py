"""What came of requests that are sent one after the other: how many, how many failed, the longest gap.

Nothing is kept of a single one, so it does not matter how many there are. A gap is time without an answer:
it begins with an answer, or with the first request, and lasts until the next answer, or until the newest
failure. So it is never shorter than the pause between two requests.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NOT_FOUND = 404
_FIRST_BAD = 400
_FIRST_OF_SERVERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The sum of some series."""

    requests: int = 0  # with an answer, or without one for which the gateway is to blame
    failed: int = 0
    longest_gap_ms: int = 0  # of the series where it was longest


@dataclass(slots=True, kw_only=True)
class Series:
    """Requests for one path through one gateway. Times are monotonic seconds and never go back."""

    requests: int = 0
    failed: int = 0
    longest_gap: float = 0.0  # seconds
    _since: float | None = None  # when the gap began that lasts; None: nothing is known of now
    _found: bool = False  # the path was answered well before

    def sent(self, now: float) -> None:
        """A request goes out; the first one begins the first gap."""
        if self._since is None:
            self._since = now

    def answered(self, status: int, now: float) -> None:
        """A whole answer came.

        One with 5xx is a failure: the service does not work, or the gateway reaches nobody. Any other one
        is an answer, whatever the service thinks of the request, with an exception: where the path was
        found before, 404 is what a gateway says that has lost the route.
        """
        if status >= _FIRST_OF_SERVERS or (status == NOT_FOUND and self._found):
            self.unanswered(now)
            return
        self._found |= status < _FIRST_BAD
        self.requests += 1
        self._lasts(now)
        self._since = now

    def unanswered(self, now: float) -> None:
        """No answer came, or a bad one; the gap goes on."""
        self.requests += 1
        self.failed += 1
        self._lasts(now)

    def not_sent(self) -> None:
        """The gateway could not be asked, so nobody knows what it would have said: the gap counts no more."""
        self._since = None

    def _lasts(self, now: float) -> None:
        if self._since is not None:
            self.longest_gap = max(self.longest_gap, now - self._since)


def summed(series: Iterable[Series]) -> Asked:
    """All of them together."""
    every = list(series)
    return Asked(
        requests=sum(one.requests for one in every),
        failed=sum(one.failed for one in every),
        longest_gap_ms=round(1000 * max((one.longest_gap for one in every), default=0.0)),
    )
