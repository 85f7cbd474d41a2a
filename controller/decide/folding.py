"""From the stream of an environment to its state: what each event means for later decisions.

One function for each event class; those that no decision depends on change nothing. A fold reads no clock:
what has a time has the event's. Here are renders, requests and the life of Releases.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import singledispatch
from typing import TYPE_CHECKING

from controller.decide.folding_steering import steered
from controller.decide.placing import completed, failed
from controller.decide.state import (
    Awaited,
    EnvironmentState,
    GitState,
    Release,
    Render,
)
from events.catalog import adoption as adopt
from events.catalog import decode
from events.catalog import environment as env
from events.catalog import release as rel
from events.catalog import service as svc
from events.catalog.base import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from events.catalog.release import ReleaseKind
    from events.envelope import StoredEvent


def fold(stored: Iterable[StoredEvent], state: EnvironmentState | None = None) -> EnvironmentState:
    """The state after `stored`, which are the events of one environment's stream in order."""
    current = state or EnvironmentState()
    for one in stored:
        event = decode(one)
        current = replace(_apply(event, current, one.time), version=one.version)
    return current


@singledispatch
def _apply(event: Event, state: EnvironmentState, time: datetime) -> EnvironmentState:
    """What is not about Releases is folded by `folding_steering.py`."""
    return steered(event, state, time)


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
        drift=event.drift,
        conduct=event.conduct,
        images=event.images,
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
    """A new Release closes the breaker: what did not last before may last now. The one before is let be."""
    return replace(
        state,
        releases={**state.releases, release.id: release},
        breaker_since=None,
        breaker_until=None,
        breaker_openings=0,
        heals=(),
        destroyed=None,
        watch=None,
    )


_Request = env.DeployRequested | env.RevertDetected | env.RollbackRequested | adopt.AdoptionRequested


def _release(event: _Request, kind: ReleaseKind) -> Release:
    """The Release that a request makes, with what all kinds of request say."""
    return Release(
        id=event.release,
        kind=kind,
        digest=event.digest,
        version=event.version,
        revision=event.revision,
        previous=event.previous,
    )


@_apply.register
def _(event: env.DeployRequested, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    release = replace(
        _release(event, "deploy"),
        retry_of=event.retry_of,
        allowed=frozenset(event.allowed),
        confirmed_prune=event.confirmed_prune,
        scope=event.scope,
    )
    requested = _request(state, release)
    if event.trigger == "git":
        return replace(requested, git=GitState(revision=event.revision, digest=event.digest), awaited=None)
    return replace(requested, orphaned=None)  # the grace of one that is gone from Git begins anew


@_apply.register
def _(event: env.RevertDetected, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    release = replace(_release(event, "revert"), brings_new=event.by == "message")
    git = GitState(revision=event.revision, digest=event.digest)
    return replace(_request(state, release), git=git, awaited=None)


@_apply.register
def _(event: env.RollbackRequested, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    release = replace(_release(event, "rollback"), allowed=frozenset(event.allowed), scope=event.scope)
    return replace(_request(state, release), orphaned=None)


@_apply.register
def _(event: adopt.AdoptionRequested, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    release = replace(_release(event, "adoption"), allowed=frozenset(event.allowed))
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


def _update(state: EnvironmentState, release: str, **changes: object) -> EnvironmentState:
    changed = replace(state.releases[release], **changes)  # type: ignore[arg-type]  # names are literals below
    return replace(state, releases={**state.releases, release: changed})


@_apply.register
def _(event: rel.ReleaseStarted, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    return replace(_update(state, event.release, status="running", begun=True), destroyed=None)


@_apply.register
def _(event: rel.ReleaseCompleted, state: EnvironmentState, time: datetime) -> EnvironmentState:
    ended = _update(state, event.release, status="completed", ended=time, traffic=event.traffic)
    release = ended.releases[event.release]
    adopted = release.kind == "adoption"
    render = state.render_of(event.digest)
    known = render.services if render is not None else dict[str, dict[str, str]]()
    stopped = {
        (host, service): one
        for (host, service), one in state.stopped.items()
        if known.get(host, {}).get(service) == one.hash or (release.scope and host not in release.scope)
    }
    waits = state.unpruned is not None and (release.scope or state.unpruned.release == event.release)
    left = state.unpruned if waits else None
    return replace(
        completed(event, ended),
        differing=ended.differing if adopted else {},
        stopped=stopped,
        unpruned=left,
    )


@_apply.register
def _(event: rel.ReleaseFailed, state: EnvironmentState, time: datetime) -> EnvironmentState:
    return failed(event, _update(state, event.release, status="failed", failure=event.failure, ended=time))


@_apply.register
def _(event: rel.ReleaseRolledBack, state: EnvironmentState, time: datetime) -> EnvironmentState:
    ended = _update(state, event.release, status="rolled_back", failure=event.failure, ended=time)
    return failed(event, ended)


@_apply.register
def _(event: rel.ReleaseSuperseded, state: EnvironmentState, time: datetime) -> EnvironmentState:
    return _update(state, event.release, status="superseded", ended=time, superseded_by=event.by)


@_apply.register
def _(event: rel.ReleaseCancelled, state: EnvironmentState, time: datetime) -> EnvironmentState:
    return _update(state, event.release, status="cancelled", ended=time)


@_apply.register
def _(event: svc.JobCompleted, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    return replace(state, jobs=state.jobs | {(event.host, event.service, event.service_hash)})
