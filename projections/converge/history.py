"""What a Release has done so far, folded from its own stream: how an interrupted one is taken up again.

A phase that was completed is not on record twice, one that failed is not tried again, and what was exchanged
is known by id. A fold: no clock, no engine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from events.catalog import Failure, decode
from events.catalog.release import HostLeftOut, Phase, PhaseCompleted, PhaseFailed, PhaseStarted
from events.catalog.service import (
    JobCompleted,
    JobFailed,
    ServiceReloaded,
    ServiceReplaced,
    ServiceStartedBeside,
)
from events.envelope import StoredEvent
from events.log import EventLog
from events.streams import StreamName, release_stream


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseHistory:
    """The record of one Release."""

    started: frozenset[Phase] = frozenset()
    completed: frozenset[Phase] = frozenset()
    failure: Failure | None = None  # of the phase that failed
    replaced: tuple[ServiceReplaced, ...] = ()
    reloaded: tuple[ServiceReloaded, ...] = ()
    beside: tuple[ServiceStartedBeside, ...] = ()  # begun side by side, whatever came of it
    left_out: tuple[HostLeftOut, ...] = ()  # hosts that take no further part, in the order they fell out

    def touched(self, host: str) -> frozenset[str]:
        """The services of a host whose containers came, went, were exchanged or told of other files."""
        return frozenset(name for place, name in self._places if place == host)

    @property
    def touched_everywhere(self) -> tuple[str, ...]:
        """The same for all hosts, `host/service`, sorted."""
        return tuple(sorted({f"{host}/{name}" for host, name in self._places}))

    @property
    def hosts_touched(self) -> frozenset[str]:
        """The hosts that it touched something on."""
        return frozenset(host for host, _name in self._places)

    @property
    def _places(self) -> set[tuple[str, str]]:
        """Host and service of all that was exchanged or told."""
        exchanged = {(one.host, one.service) for one in self.replaced}
        begun = {(one.host, one.service) for one in self.beside}
        return exchanged | begun | {(one.host, one.service) for one in self.reloaded}

    def made(self, host: str) -> set[str]:
        """The ids of the containers it brought on a host, those that are gone again too."""
        begun = {new for one in self.beside if one.host == host for new in one.new_ids}
        return begun | {new for one in self.replaced if one.host == host for new in one.new_ids}


def release_history(stored: Iterable[StoredEvent]) -> ReleaseHistory:
    """Fold the events of a Release's stream."""
    started, completed = set[Phase](), set[Phase]()
    failure: Failure | None = None
    replaced: list[ServiceReplaced] = []
    reloaded: list[ServiceReloaded] = []
    beside: list[ServiceStartedBeside] = []
    left_out: list[HostLeftOut] = []
    for one in stored:
        match decode(one):
            case PhaseStarted(phase=phase):
                started.add(phase)
            case PhaseCompleted(phase=phase):
                completed.add(phase)
            case PhaseFailed(failure=why):
                failure = failure or why
            case ServiceReplaced() as event:
                replaced.append(event)
            case ServiceReloaded() as event:
                reloaded.append(event)
            case ServiceStartedBeside() as event:
                beside.append(event)
            case HostLeftOut() as event:
                left_out.append(event)
            case _:
                continue
    return ReleaseHistory(
        started=frozenset(started),
        completed=frozenset(completed),
        failure=failure,
        replaced=tuple(replaced),
        reloaded=tuple(reloaded),
        beside=tuple(beside),
        left_out=tuple(left_out),
    )


def history_of(log: EventLog, release: str) -> ReleaseHistory:
    """What a Release has done by now."""
    return release_history(log.read_stream(release_stream(release)))


def job_ends(log: EventLog, stream: StreamName, *, release: str) -> list[JobCompleted | JobFailed]:
    """The job runs of a Release, which stand in the stream of its environment."""
    events = (decode(stored) for stored in log.read_stream(stream))
    ends = [event for event in events if isinstance(event, JobCompleted | JobFailed)]
    return [end for end in ends if end.release == release]
