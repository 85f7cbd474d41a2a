"""From the stream of an environment to its state: what is asked of it beside Releases, and what it stands in.

Holds and suspends, rests of healing, what is stopped, drained, watched, kept or gone. `folding.py` has the
Releases and hands on what it does not know.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import singledispatch

from controller.decide.state import (
    MOST_HEALS,
    Destroyed,
    Drain,
    EnvironmentState,
    GitState,
    Hold,
    Orphaned,
    StoppedService,
    Unpruned,
    Watch,
)
from events.catalog import draining as drn
from events.catalog import drift as drf
from events.catalog import environment as env
from events.catalog import removal
from events.catalog import running as run
from events.catalog import watch as wtc
from events.catalog.base import Event


@singledispatch
def steered(_event: Event, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    """The state after an event; those that no decision depends on leave it as it is."""
    return state


@steered.register
def _(event: env.EnvironmentHeld, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    hold = Hold(
        target=event.target,
        bad=frozenset(event.bad),
        clears=event.clears,
        reason=event.reason,
        until=event.until,
        failed_release=_just_failed(state, event),
        agrees=event.agrees,
        partial=event.partial,
    )
    return replace(state, hold=hold)


def _just_failed(state: EnvironmentState, event: env.EnvironmentHeld) -> str | None:
    """A failure and its hold are one append, so the newest Release has just failed and is held bad."""
    newest = next(reversed(state.releases.values()), None)
    failed = newest is not None and newest.failure is not None and event.clears == "fixed"
    return newest.id if newest is not None and failed else None


@steered.register
def _(event: env.HoldCleared, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    git = replace(state.git, deferred=None)
    if event.reason == "reverted" and state.hold is not None:
        git = GitState(revision=event.revision, digest=state.hold.target)
    releases = state.releases
    if event.reason in ("resumed", "expired"):  # somebody wants it tried again: past failures no longer count
        releases = {key: replace(one, failure=None) for key, one in releases.items()}
    return replace(state, hold=None, git=git, releases=releases)


@steered.register
def _(event: env.EnvironmentSuspended, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    return replace(state, suspended=True, suspended_until=event.until)


@steered.register
def _(_event: env.EnvironmentResumed, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    return replace(state, suspended=False, suspended_until=None, git=replace(state.git, deferred=None))


@steered.register
def _(event: removal.PruneDeferred, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    """It stands beside the end of its Release, which clears what an earlier one left."""
    unpruned = Unpruned(release=event.release, services=event.services, most=event.most)
    return replace(state, unpruned=unpruned)


@steered.register
def _(_event: removal.PruneConfirmed, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    return replace(state, unpruned=None)


@steered.register
def _(event: run.ServiceStopped, state: EnvironmentState, time: datetime) -> EnvironmentState:
    stopped = {
        (host, event.service): StoppedService(hash=found, reason=event.reason, since=time)
        for host, found in event.hashes.items()
    }
    return replace(state, stopped={**state.stopped, **stopped})


@steered.register
def _(event: run.ServiceStarted, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    stopped = {place: one for place, one in state.stopped.items() if place[1] != event.service}
    return replace(state, stopped=stopped)


@steered.register
def _(event: removal.EnvironmentOrphaned, state: EnvironmentState, time: datetime) -> EnvironmentState:
    orphaned = Orphaned(revision=event.revision, since=time, together=event.together)
    return replace(state, orphaned=orphaned)


@steered.register
def _(_event: removal.EnvironmentReturned, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    """A commit that declares the environment again wants it, whoever took it away."""
    destroyed = None if state.destroyed is None else replace(state.destroyed, digests=frozenset())
    return replace(state, orphaned=None, destroyed=destroyed)


@steered.register
def _(_event: removal.RemovalDeferred, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    orphaned = None if state.orphaned is None else replace(state.orphaned, deferred=True)
    return replace(state, orphaned=orphaned)


@steered.register
def _(event: removal.DestroyRequested, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    return replace(state, destroying=event)


@steered.register
def _(event: removal.EnvironmentDestroyed, state: EnvironmentState, time: datetime) -> EnvironmentState:
    """Nothing is deployed and nothing held; one-shot services run again where the volumes went too."""
    known = {state.git.digest, state.deployed_digest} - {None}
    digests = frozenset(digest for digest in known if digest is not None)
    cleared = any(host.volumes for host in event.hosts.values())
    return replace(
        state,
        deployed=None,
        placed={},
        hold=None,
        differing={},
        stopped={},
        drains={},
        watch=None,
        unpruned=None,
        breaker_since=None,
        breaker_until=None,
        breaker_openings=0,
        heals=(),
        jobs=frozenset() if cleared else state.jobs,
        destroying=None,
        destroyed=Destroyed(at=time, digests=digests),
    )


@steered.register
def _(_event: drf.DriftHealed, state: EnvironmentState, time: datetime) -> EnvironmentState:
    return replace(state, heals=(*state.heals, time)[-MOST_HEALS:])


@steered.register
def _(event: drf.BreakerOpened, state: EnvironmentState, time: datetime) -> EnvironmentState:
    openings = state.breaker_openings + 1
    return replace(state, breaker_since=time, breaker_until=event.until, breaker_openings=openings, heals=())


@steered.register
def _(event: drf.BreakerClosed, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    openings = 0 if event.reason == "resumed" else state.breaker_openings
    return replace(state, breaker_since=None, breaker_until=None, breaker_openings=openings, heals=())


@steered.register
def _(event: drn.TrafficDrained, state: EnvironmentState, time: datetime) -> EnvironmentState:
    drain = Drain(mode=event.mode, reason=event.reason, since=time)
    return replace(state, drains={**state.drains, (event.kind, event.name): drain})


@steered.register
def _(event: drn.TrafficUndrained, state: EnvironmentState, _time: datetime) -> EnvironmentState:
    left = {key: one for key, one in state.drains.items() if key != (event.kind, event.name)}
    return replace(state, drains=left)


@steered.register
def _(event: wtc.WatchBegun, state: EnvironmentState, time: datetime) -> EnvironmentState:
    begun = Watch(release=event.release, services=event.services, since=time, until=event.until)
    return replace(state, watch=begun)


@steered.register
def _(
    event: wtc.WatchPassed | wtc.WatchFailed | wtc.WatchEnded, state: EnvironmentState, _time: datetime
) -> EnvironmentState:
    over = state.watch is not None and state.watch.release == event.release
    return replace(state, watch=None) if over else state
