"""The state of one environment, folded from its stream: all that a decision may look at.

The fold knows three things apart: what Git shows (`git`), what the log says is deployed (`deployed`), and
what is under way (`active`). What runs is not here; engines answer that.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import singledispatch
from typing import TYPE_CHECKING, Literal

from events.catalog import adoption as adopt
from events.catalog import decode, removal
from events.catalog import environment as env
from events.catalog import release as rel
from events.catalog import service as svc
from events.catalog.base import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from events.catalog import Failure
    from events.envelope import StoredEvent
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
    kind: Literal["deploy", "rollback", "revert", "adoption"]
    digest: str
    version: str
    revision: str | None
    previous: str | None
    retry_of: str | None = None
    brings_new: bool = False  # a revert by its message alone, whose Manifest never ran here
    status: ReleaseStatus = "pending"
    failure: Failure | None = None
    ended: datetime | None = None
    allowed: frozenset[str] = frozenset()  # permissions that a person gave to its Manifest


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
    heals: tuple[datetime, ...] = ()  # the newest drifts that ended since then or since the breaker closed

    orphaned: Orphaned | None = None  # gone from Git
    destroying: removal.DestroyRequested | None = None  # asked for and not done
    destroyed: Destroyed | None = None
    differing: Mapping[tuple[str, str], tuple[str, ...]] = field(
        default_factory=dict[tuple[str, str], tuple[str, ...]]
    )
    """By host and service: fields in which what was adopted is not as the deployed Manifest says."""

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
    def deployed_release(self) -> Release | None:
        """The Release that is deployed."""
        return None if self.deployed is None else self.releases[self.deployed]

    @property
    def deployed_digest(self) -> str | None:
        """The Manifest that is deployed."""
        release = self.deployed_release
        return None if release is None else release.digest

    def render_of(self, digest: str) -> Render | None:
        """The newest render of a Manifest."""
        return next((one for one in reversed(self.renders) if one.digest == digest), None)

    def allowed_for(self, digest: str) -> frozenset[str]:
        """What persons allowed a Manifest here; it stays allowed, so that a revert is let through."""
        given = (one.allowed for one in self.releases.values() if one.digest == digest)
        return frozenset[str]().union(*given)

    def completed(self) -> list[Release]:
        """Completed Releases, newest first."""
        return [one for one in reversed(self.releases.values()) if one.status == "completed"]

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


def fold(stored: Iterable[StoredEvent], state: EnvironmentState | None = None) -> EnvironmentState:
    """The state after `stored`, which are the events of one environment's stream in order."""
    current = state or EnvironmentState()
    for one in stored:
        event = decode(one)
        current = replace(_apply(event, current, one.time), version=one.version)
    return current


@singledispatch
def _apply(_event: Event, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    """Events that no decision depends on leave the state as it is."""
    return state


@_apply.register
def _(event: env.ManifestRendered, state: EnvironmentState, time: datetime) -> EnvironmentState:
    render = Render(
        digest=event.digest,
        revision=event.revision,
        version=event.version,
        inputs=event.inputs,
        renderer=event.renderer,
        services=event.services,
        unset_variables=event.unset_variables,
        refresh=event.refresh,
        at=time,
    )
    pins = {**state.pins, **{pin.ref: pin for pin in event.images.values()}}
    over = state.awaited is not None and state.awaited.revision == event.revision
    awaited = None if over else state.awaited
    return replace(state, renders=(*state.renders, render), pins=pins, awaited=awaited)


@_apply.register
def _(event: env.ImagesRefreshed, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    """What a person had looked up again is what Git shows from then on, if it is the same commit."""
    if event.cause == "policy" or event.replaces is None or event.replaces != state.git.digest:
        return state
    return replace(state, git=replace(state.git, digest=event.digest))


@_apply.register
def _(event: env.ImageAwaited, state: EnvironmentState, time: datetime) -> EnvironmentState:
    if event.trigger == "person":
        return state
    before = state.awaited
    since = before.since if before is not None and before.revision == event.revision else time
    git = state.git
    if git.failed_revision == event.revision:
        git = replace(git, failed_revision=None, failure=None)
    awaited = Awaited(revision=event.revision, images=event.images, since=since, until=event.until)
    return replace(state, git=git, awaited=awaited)


@_apply.register
def _(event: env.RenderFailed, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    return replace(state, git=replace(state.git, failed_revision=event.revision, failure=event.failure))


def _request(state: EnvironmentState, release: Release) -> EnvironmentState:
    """A new Release closes the breaker: what did not last before may last now."""
    return replace(
        state,
        releases={**state.releases, release.id: release},
        breaker_since=None,
        breaker_until=None,
        breaker_openings=0,
        heals=(),
        destroyed=None,
    )


@_apply.register
def _(event: env.DeployRequested, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    release = Release(
        id=event.release,
        kind="deploy",
        digest=event.digest,
        version=event.version,
        revision=event.revision,
        previous=event.previous,
        retry_of=event.retry_of,
        allowed=frozenset(event.allowed),
    )
    requested = _request(state, release)
    if event.trigger == "git":
        return replace(requested, git=GitState(revision=event.revision, digest=event.digest), awaited=None)
    return replace(requested, orphaned=None)  # the grace of one that is gone from Git begins anew


@_apply.register
def _(event: env.RevertDetected, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    release = Release(
        id=event.release,
        kind="revert",
        brings_new=event.by == "message",
        digest=event.digest,
        version=event.version,
        revision=event.revision,
        previous=event.previous,
    )
    git = GitState(revision=event.revision, digest=event.digest)
    return replace(_request(state, release), git=git, awaited=None)


@_apply.register
def _(event: env.RollbackRequested, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    release = Release(
        id=event.release,
        kind="rollback",
        digest=event.digest,
        version=event.version,
        revision=event.revision,
        previous=event.previous,
        allowed=frozenset(event.allowed),
    )
    return replace(_request(state, release), orphaned=None)


@_apply.register
def _(event: adopt.AdoptionRequested, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    release = Release(
        id=event.release,
        kind="adoption",
        digest=event.digest,
        version=event.version,
        revision=event.revision,
        previous=event.previous,
        allowed=frozenset(event.allowed),
    )
    return replace(_request(state, release), orphaned=None, differing={})


@_apply.register
def _(event: adopt.ServiceAdopted, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    if not event.differences:
        return state
    return replace(state, differing={**state.differing, (event.host, event.service): event.differences})


@_apply.register
def _(event: env.DeploySkipped, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    return replace(state, git=GitState(revision=event.revision, digest=event.digest), awaited=None)


@_apply.register
def _(event: env.DeployDeferred, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    git = GitState(revision=event.revision, digest=event.digest, deferred=event.rule)
    return replace(state, git=git, awaited=None)


@_apply.register
def _(event: env.EnvironmentHeld, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    hold = Hold(
        target=event.target,
        bad=frozenset(event.bad),
        clears=event.clears,
        reason=event.reason,
        until=event.until,
        failed_release=_just_failed(state, event),
        agrees=event.agrees,
    )
    return replace(state, hold=hold)


def _just_failed(state: EnvironmentState, event: env.EnvironmentHeld) -> str | None:
    """A failure and its hold are one append, so the newest Release has just failed and is held bad."""
    newest = next(reversed(state.releases.values()), None)
    failed = newest is not None and newest.failure is not None and event.clears == "fixed"
    return newest.id if newest is not None and failed else None


@_apply.register
def _(event: env.HoldCleared, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    git = replace(state.git, deferred=None)
    if event.reason == "reverted" and state.hold is not None:
        git = GitState(revision=event.revision, digest=state.hold.target)
    releases = state.releases
    if event.reason in ("resumed", "expired"):  # somebody wants it tried again: past failures no longer count
        releases = {key: replace(one, failure=None) for key, one in releases.items()}
    return replace(state, hold=None, git=git, releases=releases)


@_apply.register
def _(event: env.EnvironmentSuspended, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    return replace(state, suspended=True, suspended_until=event.until)


@_apply.register
def _(_event: env.EnvironmentResumed, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    return replace(state, suspended=False, suspended_until=None, git=replace(state.git, deferred=None))


def _update(state: EnvironmentState, release: str, **changes: object) -> EnvironmentState:
    changed = replace(state.releases[release], **changes)  # type: ignore[arg-type]  # names are literals below
    return replace(state, releases={**state.releases, release: changed})


@_apply.register
def _(event: rel.ReleaseStarted, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    return replace(_update(state, event.release, status="running"), destroyed=None)


@_apply.register
def _(event: rel.ReleaseCompleted, state: EnvironmentState, time: datetime) -> EnvironmentState:
    ended = _update(state, event.release, status="completed", ended=time)
    adopted = ended.releases[event.release].kind == "adoption"
    return replace(ended, deployed=event.release, differing=ended.differing if adopted else {})


@_apply.register
def _(event: rel.ReleaseFailed, state: EnvironmentState, time: datetime) -> EnvironmentState:
    return _update(state, event.release, status="failed", failure=event.failure, ended=time)


@_apply.register
def _(event: rel.ReleaseRolledBack, state: EnvironmentState, time: datetime) -> EnvironmentState:
    return _update(state, event.release, status="rolled_back", failure=event.failure, ended=time)


@_apply.register
def _(event: rel.ReleaseSuperseded, state: EnvironmentState, time: datetime) -> EnvironmentState:
    return _update(state, event.release, status="superseded", ended=time)


@_apply.register
def _(event: rel.ReleaseCancelled, state: EnvironmentState, time: datetime) -> EnvironmentState:
    return _update(state, event.release, status="cancelled", ended=time)


@_apply.register
def _(event: removal.EnvironmentOrphaned, state: EnvironmentState, time: datetime) -> EnvironmentState:
    orphaned = Orphaned(revision=event.revision, since=time, together=event.together)
    return replace(state, orphaned=orphaned)


@_apply.register
def _(_event: removal.EnvironmentReturned, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    """A commit that declares the environment again wants it, whoever took it away."""
    destroyed = None if state.destroyed is None else replace(state.destroyed, digests=frozenset())
    return replace(state, orphaned=None, destroyed=destroyed)


@_apply.register
def _(_event: removal.RemovalDeferred, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    orphaned = None if state.orphaned is None else replace(state.orphaned, deferred=True)
    return replace(state, orphaned=orphaned)


@_apply.register
def _(event: removal.DestroyRequested, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    return replace(state, destroying=event)


@_apply.register
def _(event: removal.EnvironmentDestroyed, state: EnvironmentState, time: datetime) -> EnvironmentState:
    """Nothing is deployed and nothing held; one-shot services run again where the volumes went too."""
    known = {state.git.digest, state.deployed_digest} - {None}
    digests = frozenset(digest for digest in known if digest is not None)
    cleared = any(host.volumes for host in event.hosts.values())
    return replace(
        state,
        deployed=None,
        hold=None,
        differing={},
        breaker_since=None,
        breaker_until=None,
        breaker_openings=0,
        heals=(),
        jobs=frozenset() if cleared else state.jobs,
        destroying=None,
        destroyed=Destroyed(at=time, digests=digests),
    )


@_apply.register
def _(event: svc.JobCompleted, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    return replace(state, jobs=state.jobs | {(event.host, event.service, event.service_hash)})


@_apply.register
def _(_event: env.DriftHealed, state: EnvironmentState, time: datetime) -> EnvironmentState:
    return replace(state, heals=(*state.heals, time)[-MOST_HEALS:])


@_apply.register
def _(event: env.BreakerOpened, state: EnvironmentState, time: datetime) -> EnvironmentState:
    openings = state.breaker_openings + 1
    return replace(state, breaker_since=time, breaker_until=event.until, breaker_openings=openings, heals=())


@_apply.register
def _(event: env.BreakerClosed, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    openings = 0 if event.reason == "resumed" else state.breaker_openings
    return replace(state, breaker_since=None, breaker_until=None, breaker_openings=openings, heals=())
