"""What the log says of each host, kept as it was last read, so that only newer events are folded.

A log holds few events of hosts among very many others, so they are found by their types. What a host's own
stream says is all there is to know of it without asking it: where repositories say it is, whether it answered
when somebody last had a reason to ask, which machine and engine its name means, and how it was made ready.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from events.catalog import decode
from events.catalog.host import (
    HostBootstrapped,
    HostDeclared,
    HostKeyAccepted,
    HostReached,
    HostRebound,
    HostUnreachable,
)
from gitops.place import HostPlace

if TYPE_CHECKING:
    from datetime import datetime

    from events.envelope import StoredEvent
    from events.log import EventLog

_TYPES = (HostBootstrapped, HostDeclared, HostKeyAccepted, HostReached, HostRebound, HostUnreachable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """Where a repository says that a host is."""

    place: HostPlace
    project: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownHost:
    """One host by its stream."""

    declared: Declaration | None = None  # the newest word
    words: Mapping[str, HostPlace] = field(default_factory=dict[str, HostPlace])
    """By environment, `<project>/<name>`, the newest place that it gave."""
    answers: bool | None = None  # None: nobody had a reason to ask yet
    since: datetime | None = None  # of `answers`
    reason: str = ""  # why it does not
    machine: str = ""  # that the name means
    engine: str = ""
    engine_version: str = ""  # when it last began to answer
    keys: tuple[str, ...] = ()  # fingerprints that were taken on first use
    bootstrapped: datetime | None = None  # when it was last made ready

    @property
    def place(self) -> HostPlace | None:
        """Where repositories say that it is, by the newest word."""
        return None if self.declared is None else self.declared.place


@dataclass(slots=True)
class KnownHosts:
    """Of one log at a time; threads may share it."""

    _log: EventLog | None = None
    _head: int = 0
    _hosts: Mapping[str, KnownHost] = field(default_factory=dict[str, KnownHost])
    _alone: threading.Lock = field(default_factory=threading.Lock)

    def of(self, log: EventLog) -> Mapping[str, KnownHost]:
        """All hosts with an event, after all events that the log has now; the same object until a new one."""
        with self._alone:
            if log is not self._log:
                self._log, self._head, self._hosts = log, 0, {}
            head = log.head()
            if head > self._head:
                newer = [
                    stored
                    for kind in _TYPES
                    for stored in log.read(after=self._head, type_name=kind.__name__)
                    if stored.position <= head
                ]
                if newer:
                    self._hosts = _with(self._hosts, sorted(newer, key=lambda one: one.position))
                self._head = head
            return self._hosts


def _with(hosts: Mapping[str, KnownHost], newer: Iterable[StoredEvent]) -> dict[str, KnownHost]:
    after = dict(hosts)
    for stored in newer:
        name = stored.stream.partition("/")[2]
        after[name] = folded(after.get(name, KnownHost()), stored)
    return after


def folded(  # noqa: PLR0911  # one for each event
    host: KnownHost, stored: StoredEvent
) -> KnownHost:
    """The host after one more event of its stream; the same after one that says nothing of it here."""
    match decode(stored):
        case HostDeclared() as event:
            return _declared(host, event, stored.time)
        case HostKeyAccepted(fingerprint=fingerprint):
            return replace(host, keys=(*host.keys, fingerprint))
        case HostReached() as event:
            bound = (host.machine, host.engine) if host.engine else (event.machine, event.engine)
            return replace(
                host,
                answers=True,
                since=stored.time,
                reason="",
                machine=bound[0],
                engine=bound[1],
                engine_version=event.engine_version,
            )
        case HostRebound(machine=machine, engine=engine):
            return replace(host, machine=machine, engine=engine)
        case HostUnreachable(reason=reason):
            return replace(host, answers=False, since=stored.time, reason=reason)
        case HostBootstrapped(status="success"):
            return replace(host, bootstrapped=stored.time)
        case _:
            return host


def _declared(host: KnownHost, event: HostDeclared, at: datetime) -> KnownHost:
    place = HostPlace(event.address, event.port)
    title = f"{event.project}/{event.environment}"
    return replace(
        host,
        declared=Declaration(place=place, project=event.project, at=at),
        words={**host.words, title: place},
    )
