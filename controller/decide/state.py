"""The state of one environment: all that a decision may look at.

It knows three things apart: what Git shows (`git`), what the log says is deployed (`deployed`), and what is
under way (`active`). What runs is not here; engines answer that. `folding.py` makes it from the stream.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from events.catalog.environment import Conduct
from events.draining import Drained, drained_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from events.catalog import Failure
    from events.catalog.drift import DriftPolicy
    from events.catalog.release import ReleaseKind, TrafficProof
    from events.catalog.removal import DestroyRequested
    from events.draining import DrainedName, DrainMode
    from events.manifest import ImagePin


ReleaseStatus = Literal["pending", "running", "completed", "failed", "rolled_back", "superseded", "cancelled"]
MOST_HEALS = 10  # as many as a decision may ask for


@dataclass(frozen=True, slots=True, kw_only=True)
class Render:
    """A recorded render: one Manifest and what it was made from."""

    digest: str
    revision: str
    version: str
    inputs: Mapping[str, str | None]
    renderer: str
    services: Mapping[str, Mapping[str, str]]  # {host: {service: hash}}
    unset_variables: tuple[str, ...] = ()  # rendered blank
    refresh: float | Literal["never", "on-deploy"] = "never"  # a number: every so many seconds
    at: datetime | None = None  # when it was recorded
    images: Mapping[str, ImagePin] = field(default_factory=dict[str, "ImagePin"])  # by service
    drift: DriftPolicy = "heal"  # what the descriptor wants done with drift
    conduct: Conduct = field(default_factory=Conduct)  # how its Releases are carried out


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """The wait of the newest commit for images that CI pushes."""

    revision: str
    images: tuple[str, ...]
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A Release as far as decisions care."""

    id: str
    kind: ReleaseKind
    digest: str
    version: str
    revision: str | None
    previous: str | None
    retry_of: str | None = None
    brings_new: bool = False  # a revert by its message alone, whose Manifest never ran here
    status: ReleaseStatus = "pending"
    failure: Failure | None = None
    ended: datetime | None = None
    begun: bool = False  # a controller began to work on it, so hosts may have been changed
    superseded_by: str | None = None  # the newer Release
    allowed: frozenset[str] = frozenset()  # permissions that a person gave to its Manifest
    confirmed_prune: int | None = None  # so many services may go, a person said
    scope: tuple[str, ...] = ()  # the only hosts that it works on; none: all
    partial: bool = False  # it completed, and other hosts are to run something else
    traffic: TrafficProof | None = None  # what became of requests meanwhile; None: it switched none


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The pin to a Manifest."""

    target: str
    bad: frozenset[str]
    clears: Literal["fixed", "manual"]
    reason: str
    until: datetime | None
    failed_release: str | None = None  # the Release whose failure made the hold; None: a person did
    agrees: bool = False  # it also ends when Git shows the target
    partial: bool = False  # it also ends when a person deploys the target everywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class GitState:
    """What the watched branch last led to. All None: Git was never considered."""

    revision: str | None = None
    digest: str | None = None  # of the newest commit that rendered
    failed_revision: str | None = None  # set while the newest commit does not render
    failure: Failure | None = None
    deferred: str | None = None  # the rule that holds `digest` back


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphaned:
    """The branch does not declare the environment."""

    revision: str
    since: datetime
    together: int  # environments that went with this commit
    deferred: bool = False  # that no rule removes it was told


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """The environment was taken away, and nothing was asked for since."""

    at: datetime
    digests: frozenset[str]  # what Git showed and what was deployed then: Git does not bring these back


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedService:
    """A service on one host that a person stopped."""

    hash: str  # of the service then: with another one it is not stopped any more
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """A person wants no new requests for a service, or for the containers of a host."""

    mode: DrainMode
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What a completed Release has changed is looked at for a while."""

    release: str
    services: tuple[str, ...]
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpruned:
    """What left the deployed Manifest and waits for a person's word."""

    release: str  # that left it
    services: tuple[str, ...]  # `host/service`, sorted
    most: int  # as many as may go without it

    @property
    def places(self) -> frozenset[tuple[str, str]]:
        """By host and service."""
        parts = (one.partition("/") for one in self.services)
        return frozenset((host, service) for host, _, service in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentState:
    """One environment after some number of its events; `version` is that number."""

    version: int = 0
    renders: tuple[Render, ...] = ()  # oldest first
    pins: Mapping[str, ImagePin] = field(
        default_factory=dict[str, "ImagePin"]
    )  # newest pin of each reference
    releases: dict[str, Release] = field(default_factory=dict[str, Release])  # in order of request
    deployed: str | None = None  # release id
    git: GitState = field(default_factory=GitState)
    awaited: Awaited | None = None  # images that the commit Git shows waits for
    hold: Hold | None = None
    suspended: bool = False
    suspended_until: datetime | None = None  # None: a person ends it, or it is not suspended
    jobs: frozenset[tuple[str, str, str]] = frozenset()  # (host, service, hash) that succeeded
    breaker_since: datetime | None = None  # set together with `breaker_until`
    breaker_until: datetime | None = None  # healing rests until then
    breaker_openings: int = 0  # since the newest Release was asked for, or a person resumed
    stopped: Mapping[tuple[str, str], StoppedService] = field(
        default_factory=dict[tuple[str, str], StoppedService]
    )
    """By host and service: what a person stopped and what has not changed since."""
    drains: Mapping[DrainedName, Drain] = field(default_factory=dict["DrainedName", Drain])
    """By kind and name: what gets no new requests."""
    watch: Watch | None = None  # of the newest Release, which completed
    heals: tuple[datetime, ...] = ()  # the newest drifts that ended since then or since the breaker closed

    orphaned: Orphaned | None = None  # gone from Git
    destroying: DestroyRequested | None = None  # asked for and not done
    destroyed: Destroyed | None = None
    differing: Mapping[tuple[str, str], tuple[str, ...]] = field(
        default_factory=dict[tuple[str, str], tuple[str, ...]]
    )
    """By host and service: fields in which what was adopted is not as the deployed Manifest says."""
    unpruned: Unpruned | None = None  # what left and runs on
    placed: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    """Hosts that are not to run what is deployed, with the Manifest that they are; None: parts of two."""

    @property
    def kept_places(self) -> frozenset[tuple[str, str]]:
        """By host and service, what left the deployed Manifest and waits for a person's word."""
        return frozenset() if self.unpruned is None else self.unpruned.places

    def breaker_open(self, now: datetime) -> bool:
        """Whether healing rests. A clock that was set back to before the opening does not prolong it."""
        if self.breaker_since is None or self.breaker_until is None:
            return False
        return self.breaker_since <= now < self.breaker_until

    @property
    def expires(self) -> datetime | None:
        """When its hold or its suspend ends by itself, whichever comes first."""
        ends = (None if self.hold is None else self.hold.until, self.suspended_until)
        return min((end for end in ends if end is not None), default=None)

    @property
    def unfinished(self) -> tuple[Release, ...]:
        """The Releases without a verdict, oldest first."""
        return tuple(one for one in self.releases.values() if one.status in ("pending", "running"))

    @property
    def active(self) -> Release | None:
        """The newest Release without a verdict."""
        return self.unfinished[-1] if self.unfinished else None

    @property
    def running(self) -> Release | None:
        """The Release that was begun and has no verdict; one at a time is."""
        return next((one for one in self.unfinished if one.begun), None)

    @property
    def left_behind(self) -> tuple[str, ...]:
        """Manifests that hosts may have parts of, although nothing says that they are deployed, newest first.

        They are those of the Releases since the last one that brought everything to one Manifest.
        """
        found: dict[str, None] = {}
        for one in reversed(self.releases.values()):
            if one.status in ("completed", "rolled_back") and not (one.scope and one.id != self.deployed):
                break
            if one.begun and one.status in ("superseded", "failed"):
                found[one.digest] = None
        return tuple(found)

    @property
    def deployed_release(self) -> Release | None:
        """The Release that is deployed."""
        return None if self.deployed is None else self.releases[self.deployed]

    @property
    def deployed_digest(self) -> str | None:
        """The Manifest that is deployed."""
        release = self.deployed_release
        return None if release is None else release.digest

    @property
    def stopped_hashes(self) -> dict[tuple[str, str], str]:
        """By host and service, the hash that a person stopped."""
        return {place: one.hash for place, one in self.stopped.items()}

    @property
    def drained(self) -> Drained:
        """What gets no new requests."""
        return drained_of(self.drains)

    def render_of(self, digest: str) -> Render | None:
        """The newest render of a Manifest."""
        return next((one for one in reversed(self.renders) if one.digest == digest), None)

    def allowed_for(self, digest: str) -> frozenset[str]:
        """What persons allowed a Manifest here; it stays allowed, so that a revert is let through."""
        given = (one.allowed for one in self.releases.values() if one.digest == digest)
        return frozenset[str]().union(*given)

    def completed(self) -> list[Release]:
        """Releases that completed on all hosts, newest first."""
        done = (one for one in reversed(self.releases.values()) if one.status == "completed")
        return [one for one in done if not one.partial]

    def failed_attempts(self, digest: str) -> list[Release]:
        """Failed attempts at a Manifest since it last completed or a person intervened, oldest first."""
        attempts: list[Release] = []
        for one in self.releases.values():
            if one.digest != digest or one.kind == "rollback":
                continue
            if one.status == "completed":
                attempts.clear()
            elif one.failure is not None:
                attempts.append(one)
        return attempts
