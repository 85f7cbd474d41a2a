"""All hosts for people and programs: what is known of each without asking it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from controller.host_registry import HostEntry, Roles, host_registry
from controller.host_uses import host_roles
from controller.known_hosts import KnownHost, KnownHosts
from controller.states import States
from events.kernel.clock import format_utc

if TYPE_CHECKING:
    from datetime import datetime

    from events.blobs import BlobStore
    from events.log import EventLog
    from gitops.config.controller import ControllerFile
    from projections.observed import HostAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedHost:
    """A host of the registry, with what the log says of it."""

    entry: HostEntry
    known: KnownHost

    def as_json(self) -> dict[str, Any]:
        """One of `hosts` in `hosts list --json`, and `declared` in `hosts show --json`."""
        known, declared = self.known, self.known.declared
        return {
            **self.entry.as_json(),
            "reachable": known.answers,
            "since": _shown(known.since),
            "reason": known.reason,
            "machine": known.machine or None,
            "engine": known.engine or None,
            "engine_version": known.engine_version or None,
            "declared_by": None if declared is None else declared.project,
            "declared_at": None if declared is None else _shown(declared.at),
            "keys": list(known.keys),
            "bootstrapped": _shown(known.bootstrapped),
        }

    @property
    def address(self) -> str:
        """Where it is, for people."""
        if self.entry.place is not None:
            return f"{self.entry.user}@{self.entry.place}"
        return "this machine" if self.entry.reachable else "unknown"

    @property
    def origin(self) -> str:
        """Who says so, for people, and what a repository says that does not count."""
        also = self.entry.also
        return self.entry.origin if also is None else f"{self.entry.origin} (git says {also})"

    @property
    def answer(self) -> str:
        """Whether it answered when it was last asked, for people."""
        if self.known.answers is None:
            return "not asked yet"
        since = f" since {_shown(self.known.since)}"
        return f"yes{since}" if self.known.answers else f"no{since}: {self.known.reason}"

    @property
    def roles(self) -> str:
        """What it is in each environment, for people."""
        return "; ".join(f"{title}: {', '.join(names)}" for title, names in self.entry.roles.items()) or "-"


def list_hosts(
    log: EventLog | None,
    file: ControllerFile,
    blobs: BlobStore,
    answers: Mapping[str, HostAnswer],
) -> dict[str, ListedHost]:
    """Every host by name, `local` first; nothing is asked of any. `answers` is what `observed.db` has."""
    known: Mapping[str, KnownHost] = {}
    roles: Roles = {}
    if log is not None:
        known, roles = KnownHosts().of(log), host_roles(log, States(), blobs)
    entries = host_registry(file, known, roles=roles)
    return {
        name: ListedHost(entry=entry, known=by_now(known.get(name, KnownHost()), answers.get(name)))
        for name, entry in entries.items()
    }


def by_now(known: KnownHost, answer: HostAnswer | None) -> KnownHost:
    """The host with a newer answer than the log's, where that says something else.

    The log has an event for the end of an answer and for its return, and none for what a person checks.
    """
    if answer is None or answer.answers == known.answers:
        return known
    if known.since is not None and answer.at <= known.since:
        return known
    return replace(known, answers=answer.answers, since=answer.at, reason=answer.reason)


def _shown(moment: datetime | None) -> str | None:
    return None if moment is None else format_utc(moment)
