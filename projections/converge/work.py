"""A Release as it is handed to the converger, and the verdict that it hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from events.catalog import Failure
from events.catalog.environment import HostsConduct
from events.catalog.release import ReleaseKind, TrafficProof
from events.manifest import Manifest
from events.streams import StreamName
from projections.converge.apply import MOST_AT_ONCE
from projections.converge.orphans import Cap
from projections.converge.plan import JobKey

VerdictStatus = Literal["completed", "failed", "rolled_back", "superseded"]
OnFailure = Literal["revert", "hold", "continue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseWork:
    """A Release that was decided, with what the environment's stream says about it."""

    release: str
    kind: ReleaseKind
    manifest: Manifest
    previous: Manifest | None  # what the hosts are to run until then; None: nothing yet
    stream: StreamName  # the environment's
    brings_new: bool = False  # a revert whose Manifest never ran here: its jobs are those of a deploy
    started: bool = False  # a run before this one began it and did not end it
    succeeded_jobs: frozenset[JobKey] = frozenset()  # (host, service, service hash)
    held_bad: frozenset[str] = frozenset()  # Manifests that a standing hold keeps out
    stopped: Mapping[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """By host and service, the hash that a person stopped."""
    held_by_person: bool = False  # a person holds the environment, and not at this Manifest
    left_behind: tuple[Manifest, ...] = ()  # of Releases since then that neither completed nor took back
    version: int | None = None  # of the stream when the work was made out; None: whatever it is now
    parallel: int = MOST_AT_ONCE  # services that are worked on at once
    cap: Cap = field(default_factory=Cap)  # on what it takes away
    scope: frozenset[str] = frozenset()  # the only hosts that it works on; none: all of the Manifest
    hosts: HostsConduct = field(default_factory=HostsConduct)  # in which order, and what may fail
    on_failure: OnFailure = "revert"
    deployed: str | None = None  # digest of what is deployed; None: that of `previous`
    placed: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    """Hosts that are not to run what is deployed, with the Manifest that they are; None: parts of several."""
    drained_hosts: frozenset[str] = frozenset()  # that people keep requests away from
    drained_services: frozenset[str] = frozenset()  # likewise

    @property
    def worked_on(self) -> tuple[str, ...]:
        """The hosts that it works on, sorted."""
        return tuple(host for host in sorted(self.manifest.hosts) if not self.scope or host in self.scope)

    @property
    def leaves(self) -> str | None:
        """Digest of what is deployed until then; None: nothing."""
        return self.deployed or (None if self.previous is None else self.previous.digest)

    def back(self, host: str) -> str | None:
        """Digest of the Manifest that a host goes back to: what has parts of several goes to the deployed."""
        return self.placed.get(host) or self.leaves

    def before(self, host: str) -> str | None:
        """Digest of the Manifest that a host is to run until then; None: none, or parts of several."""
        if host in self.placed:
            return self.placed[host]
        known = self.previous is not None and host in self.previous.hosts
        return self.leaves if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a Release ended."""

    status: VerdictStatus
    release: str
    failure: Failure | None = None  # None unless it failed
    by: str | None = None  # the newer Release that superseded it
    kept: tuple[str, ...] = ()  # `host/service` of what left the Manifest and waits for a person's word
    without: tuple[str, ...] = ()  # hosts that it completed without, sorted
    traffic: TrafficProof | None = None  # of requests that it switched; None: it switched none
