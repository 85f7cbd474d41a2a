"""Which of its hosts a Release goes on with, who fell out and why, and when that ends the Release.

Where a Release has several hosts, each one that falls out is recorded when it does (`HostLeftOut`), so that
a run that is taken up again does not begin with it anew. Where an only
host fails there is nothing to go on with, and its error is the Release's.

A host that does not answer is treated by where it is lost. Before anything was changed anywhere the Release
fails, or leaves the host out where the descriptor says `skip`; on the way it counts as one that failed, and
is unknown. What shows another machine or another key than it should is never skipped. The hosts in `here` are
this machine's: when its engine is silent nothing can be done at all, so the Release waits, without a verdict.

Everything is made ready on all hosts before the first is touched, so what fails there fails the Release,
however many may fail later on. A canary that fails does too: that is what it is for. And so does a host
where a one-shot of the Release has not succeeded: what is healed later runs no jobs, so nobody would make up
for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from events.catalog import Failure
from events.catalog.environment import HostsConduct
from events.catalog.release import HostLeftOut
from events.kernel.errors import OutsideError, StagecraftError
from events.recorder import Recorder
from events.streams import StreamName
from projections.converge.failures import FATAL, HOST_SILENT_NOW, HOST_UNKNOWN, failure_of
from projections.converge.hosts import note_unknown
from projections.converge.site import Site

LeftOut = Literal["skipped", "failed", "unknown"]

_WORDS = {"skipped": "is left out", "failed": "failed", "unknown": "was lost"}


@dataclass(slots=True, kw_only=True)
class Attendance:
    """The hosts of one Release, from the first look to its verdict."""

    hosts: tuple[str, ...]  # that it works on, sorted
    sites: Mapping[str, Site]  # by host, those that this controller knows
    recorder: Recorder
    stream: StreamName  # the Release's own
    conduct: HostsConduct
    goes_on: bool = False  # with the others, however many fail
    canaries: frozenset[str] = frozenset()
    owes: Callable[[str], bool] = lambda _host: False  # whether a one-shot has not succeeded on a host yet
    touched: Collection[str] = ()  # hosts that a run before this one changed something on
    left: dict[str, HostLeftOut] = field(default_factory=dict[str, HostLeftOut])  # in the order they fell out

    @property
    def present(self) -> tuple[str, ...]:
        """The hosts that it goes on with, sorted."""
        return tuple(host for host in self.hosts if host not in self.left)

    @property
    def unknown(self) -> frozenset[str]:
        """The hosts that were lost."""
        return frozenset(host for host, one in self.left.items() if one.status == "unknown")

    def not_ready(self, failed: Mapping[str, StagecraftError]) -> Failure | None:
        """What hosts that could not be made ready mean: why the Release fails, None when it goes on.

        Raises the error itself where it gives no verdict, or where a host that answers refused.
        """
        self._raise_fatal(failed)
        lost = {host: error for host, error in failed.items() if error.code in HOST_UNKNOWN}
        for host, error in lost.items():
            skips = self.conduct.on_unreachable == "skip" and error.code in HOST_SILENT_NOW
            spared = skips and host not in self.touched and not self.owes(host)
            self._leave(host, error, "skipped" if spared else "unknown")
        for error in (error for host, error in failed.items() if host not in lost):
            raise error
        unknown = [self.left[host].failure for host in lost if self.left[host].status == "unknown"]
        return unknown[0] if unknown and not self.touched else self.over()

    def failed(self, failed: Mapping[str, StagecraftError]) -> Failure | None:
        """What hosts that failed on the way mean: why the Release fails, None when it goes on.

        Raises the error itself where it gives no verdict, and that of an only host that answers.
        """
        self._raise_fatal(failed)
        for host, error in failed.items():
            lost = error.code in HOST_UNKNOWN
            if len(self.hosts) == 1 and not lost:
                raise error
            self._leave(host, error, "unknown" if lost else "failed")
        return self.over()

    def gone(self, site: Site, error: StagecraftError) -> None:
        """A host that the Manifest does not use any more is silent: what it has stays there, and is named.

        Raises the error itself where it is another one, or the host is here.
        """
        if error.code not in HOST_UNKNOWN or site.transport.here:
            raise error
        self._record(site, error, "skipped")

    def over(self) -> Failure | None:
        """Why the Release cannot go on with the hosts that are left; None: it can."""
        fallen = [one for one in self.left.values() if one.host in self.hosts and one.status != "skipped"]
        if not self.present:
            return (fallen or list(self.left.values()))[0].failure
        owing = next((one.failure for one in fallen if self.owes(one.host)), None)
        if self.goes_on or owing is not None:
            return owing
        canary = next((one.failure for one in fallen if one.host in self.canaries), None)
        return fallen[0].failure if canary is None and len(fallen) > self.conduct.max_failures else canary

    def _raise_fatal(self, failed: Mapping[str, StagecraftError]) -> None:
        for host, error in failed.items():
            here = host in self.sites and self.sites[host].transport.here
            if error.code in FATAL and (here or error.code not in HOST_UNKNOWN):
                raise error

    def _leave(self, host: str, error: StagecraftError, status: LeftOut) -> None:
        if host not in self.left:
            self._record(self.sites[host], error, status)

    def _record(self, site: Site, error: StagecraftError, status: LeftOut) -> None:
        if isinstance(error, OutsideError):
            note_unknown(site, self.recorder, error)
        failure = failure_of(error).model_copy(update={"host": site.host})
        self.left[site.host] = HostLeftOut(host=site.host, status=status, failure=failure)
        self.recorder.append(self.stream, self.left[site.host])
        site.tell(f"{_WORDS[status]}: {failure.message}")
