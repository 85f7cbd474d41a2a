"""How a Release ended on each of its hosts, for the event that says how it ended.

Pure: from what was asked for, who fell out, and what became of those that were touched. A digest is named
only where a host runs just that Manifest; what has parts of two, and what nobody can see, has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from events.catalog import Failure
from events.catalog.release import HostEnd, HostLeftOut, HostVerdict
from projections.converge.compensate import Ended
from projections.converge.history import ReleaseHistory
from projections.converge.rollout import changed_services
from projections.converge.work import ReleaseWork

STOPPED = "what was started is stopped and kept for a look"
HALF_WAY = "the Release ended before all of it was brought here"

Verdicts = dict[str, HostVerdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a Release did until it ended."""

    work: ReleaseWork
    left: Mapping[str, HostLeftOut]  # by host
    failure: Failure | None = None

    def completed(self) -> Verdicts:
        """Of a Release that completed."""
        ends = {host: self._untouched(host) for host in self.work.manifest.hosts}
        ends |= {host: self._end("completed", self.work.manifest.digest) for host in self.work.worked_on}
        ends |= {host: self._left(host) for host in self.left}
        return dict(sorted(ends.items()))

    def taken_back(self, touched: Mapping[str, frozenset[str]], ended: Ended) -> Verdicts:
        """Of one that was taken back, as far as that went."""
        return self._failed(touched, ended, as_it_was="restored")

    def stopped(self, touched: Mapping[str, frozenset[str]], ended: Ended) -> Verdicts:
        """Of one with nothing to go back to, whose containers were stopped."""
        return self._failed(touched, ended, as_it_was="failed")

    def as_it_is(self, history: ReleaseHistory) -> Verdicts:
        """Of one that failed and after which nothing more was changed."""
        return {host: self._as_it_is(host, history) for host in self.work.worked_on}

    def _failed(self, touched: Mapping[str, frozenset[str]], ended: Ended, *, as_it_was: HostEnd) -> Verdicts:
        hosts = {*self.work.worked_on, *(host for host, names in touched.items() if names)}
        found: Verdicts = {}
        for host in sorted(hosts):
            if host in ended.errors:
                found[host] = self._end("failed", reason=ended.errors[host].message)
            elif host in ended.lost:
                found[host] = self._end("unknown", reason=ended.lost[host].message)
            elif not touched.get(host):
                fell = self.left.get(host)
                kept = fell is not None and fell.status != "failed"
                found[host] = self._left(host) if kept else self._untouched(host)
            elif as_it_was == "restored":
                found[host] = self._end("restored", self.work.back(host), self._reason(host))
            else:
                found[host] = self._end(as_it_was, reason=self._reason(host) or STOPPED)
        return found

    def _as_it_is(self, host: str, history: ReleaseHistory) -> HostVerdict:
        work, touched = self.work, history.touched(host)
        if host in self.left:
            return self._left(host)
        former = None if work.previous is None else work.previous.hosts.get(host)
        brought = changed_services(work.manifest.hosts[host], former) <= touched
        if self.failure is not None and self._is_of(self.failure, host):
            return self._end("failed", reason=self.failure.message) if touched else self._untouched(host)
        if brought:
            return self._end("completed", work.manifest.digest)
        if touched or work.started:  # a run that was killed may have changed more than it said
            return self._end("failed", reason=HALF_WAY)
        return self._untouched(host)

    def _untouched(self, host: str) -> HostVerdict:
        return self._end("untouched", self.work.before(host), self._reason(host))

    def _left(self, host: str) -> HostVerdict:
        fell = self.left[host]
        digest = self.work.before(host) if fell.status == "skipped" else None
        return self._end(fell.status, digest, fell.failure.message)

    def _reason(self, host: str) -> str:
        """What failed there; nothing where nothing did."""
        if host in self.left:
            return self.left[host].failure.message
        return self.failure.message if self.failure is not None and self._is_of(self.failure, host) else ""

    def _is_of(self, failure: Failure, host: str) -> bool:
        return failure.host == host or len(self.work.worked_on) == 1

    @staticmethod
    def _end(status: HostEnd, digest: str | None = None, reason: str = "") -> HostVerdict:
        return HostVerdict(status=status, digest=digest, reason=reason)
