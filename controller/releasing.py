"""Handing a Release to the converger, and healing what is deployed.

The caller holds the environment's lock. A Release that a crash left without a verdict is finished by the
same call that starts a new one: the converger resumes where the log says it stopped.

Others may ask for something newer at any time, without the lock. So a Release is begun on the state that it
was taken from or not at all, and what was asked for while one was worked on is worked on after it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from controller.closer import is_due
from controller.decide.hold import decide_drift_hold
from controller.decide.watch import with_end_of_watch
from controller.deciding import append_decided
from controller.placed import former_manifest, wanted_manifest
from controller.removing import finish_destroy
from controller.retention import conduct_of, forget_old_images
from events.catalog import decode
from events.catalog.drift import BreakerClosed
from events.catalog.environment import DeployRequested, RevertDetected, RollbackRequested
from events.log import VersionConflictError
from events.streams import environment_stream
from gitops.policies import drift_of, most_removed_of
from projections.converge.heal import Terms
from projections.converge.orphans import Cap
from projections.converge.superseding import SupersededError
from projections.converge.work import ReleaseWork, Verdict

if TYPE_CHECKING:
    from controller.context import Context
    from controller.decide.state import EnvironmentState, Release
    from events.catalog import Event
    from events.catalog.drift import DriftDetected, DriftPolicy
    from events.envelope import StoredEvent
    from events.recorder import Recorder
    from projections.converge.altered import Closely

_TRIES = 10  # to begin a Release while others append to the environment's stream
_REQUESTS = (DeployRequested, RevertDetected, RollbackRequested)


async def finish_active(context: Context, project: str, name: str) -> Verdict | None:
    """Bring what waits or was interrupted to its verdict, oldest first; answers the last, None without any.

    Each Release gets its own verdict: one that a crash left half done is finished before the one that was
    asked for meanwhile, or superseded by it. Raises OutsideError when the host cannot be reached: the Release
    then stays as it is, for the next look. An environment that was being taken away is taken away first.
    """
    state = context.environment(project, name)
    if state.destroying is not None:
        await finish_destroy(context, project, name)
        state = context.environment(project, name)
    verdict: Verdict | None = None
    while state.unfinished:
        oldest = state.unfinished[0].id
        verdict = await finish(context, project, name, release=oldest)
        state = context.environment(project, name)
        if state.unfinished and state.unfinished[0].id == oldest:
            raise AssertionError(f"{oldest} was finished and has no verdict")
    return verdict


async def finish_begun(context: Context, project: str, name: str) -> None:
    """Bring what a crash left begun to its verdict; mostly a newer Release has superseded it.

    Raises as `finish_active`.
    """
    running = context.environment(project, name).running
    if running is not None:
        await finish(context, project, name, release=running.id)


async def finish(
    context: Context, project: str, name: str, *, release: str, recorder: Recorder | None = None
) -> Verdict:
    """Bring one Release to its verdict; without a recorder the controller finishes what somebody asked for.

    One that was superseded before it began is answered as such. Raises VersionConflictError when the stream
    moves on faster than the Release can be begun.
    """
    for left in reversed(range(_TRIES)):
        state = context.environment(project, name)
        wanted = state.releases[release]
        if wanted.status == "superseded":
            return Verdict(status="superseded", release=release, by=wanted.superseded_by)
        work = _work(context, state, wanted, place=(project, name))
        by = recorder or recorder_of(context, project, name, release=release)
        try:
            verdict = await context.converger.run_release(work, recorder=by)
        except VersionConflictError:
            begun = context.environment(project, name).releases[release].begun
            if begun or not left:
                raise
        else:
            if verdict.status == "completed":
                await forget_old_images(context)
            return verdict
    raise AssertionError("the last try answers or raises")


def _work(
    context: Context, state: EnvironmentState, wanted: Release, *, place: tuple[str, str]
) -> ReleaseWork:
    deployed, hold = state.deployed_digest, state.hold
    conduct = conduct_of(state, wanted.digest)
    return ReleaseWork(
        release=wanted.id,
        kind=wanted.kind,
        brings_new=wanted.brings_new,
        manifest=context.manifest(wanted.digest),
        previous=former_manifest(context, state),
        deployed=deployed,
        placed=state.placed,
        scope=frozenset(wanted.scope),
        hosts=conduct.hosts,
        on_failure=conduct.on_failure,
        stream=environment_stream(*place),
        started=wanted.status == "running",
        succeeded_jobs=state.jobs,
        stopped=state.stopped_hashes,
        held_bad=frozenset() if hold is None else hold.bad,
        held_by_person=hold is not None and hold.clears == "manual" and hold.target != wanted.digest,
        left_behind=tuple(context.manifest(digest) for digest in state.left_behind),
        version=state.version,
        parallel=conduct.parallel,
        cap=_cap(context, state, wanted, place=place),
        drained_hosts=state.drained.hosts,
        drained_services=state.drained.services,
    )


def _cap(context: Context, state: EnvironmentState, wanted: Release, *, place: tuple[str, str]) -> Cap:
    """What a Release may take away; what completed here before, and any way back, waits for nobody."""
    known = any(one.digest == wanted.digest for one in state.completed())
    if known or wanted.kind not in ("deploy", "revert"):
        return Cap()
    conduct = conduct_of(state, wanted.digest)
    most = most_removed_of(context.policy, project=place[0], environment=place[1], asked=conduct.most_removed)
    return Cap(most=most, confirmed=wanted.confirmed_prune)


def recorder_of(context: Context, project: str, name: str, *, release: str) -> Recorder:
    """The controller's, for what follows from the request: so the trail leads back to who asked."""
    asked = _request_of(context, project, name, release=release)
    if asked is None:
        return context.recorder()
    return context.recorder(correlation=asked.correlation, causation=asked.id)


def _request_of(context: Context, project: str, name: str, *, release: str) -> StoredEvent | None:
    names = {one.__name__ for one in _REQUESTS}
    for stored in reversed(context.log.read_stream(environment_stream(project, name))):
        if stored.type in names:
            event = decode(stored)
            if isinstance(event, _REQUESTS) and event.release == release:
                return stored
    return None


async def heal_deployed(context: Context, project: str, name: str) -> bool:
    """Make what runs agree with what is deployed; True when something had to be mended.

    Nothing is touched while the environment is suspended or its breaker is open; a breaker whose time is
    over is closed. False also when a Release that was asked for meanwhile ended a wait for health.
    """
    state = context.environment(project, name)
    release, manifest = state.deployed_release, wanted_manifest(context, state)
    if release is None or manifest is None or state.suspended or state.breaker_open(context.clock.now()):
        return False
    if state.breaker_until is not None:
        closed = BreakerClosed(reason="cool-down")
        append_decided(context, f"{project}/{name}", lambda _: (closed,), recorder=context.recorder())
    title = f"{project}/{name}"
    asked = context.closer.take(title)
    due = is_due(context.observed, title, now=context.clock.now())
    try:
        healed = await context.converger.heal(
            manifest,
            release=release.id,
            recorder=context.recorder(),
            terms=_terms(context, title, state, closely=None if due else asked),
        )
    except SupersededError as error:
        context.closer.give_back(title, asked)
        context.progress(f"{title}: healing makes way for {error.by}")
        return False
    except BaseException:
        context.closer.give_back(title, asked)
        raise
    if due:
        context.observed.note_inspected(title, context.clock.now())
    return healed


async def reroute_deployed(context: Context, project: str, name: str) -> None:
    """Have gateways do as what is deployed and what is drained say, also while nothing is healed.

    Raises OutsideError where one does not confirm.
    """
    state = context.environment(project, name)
    release, manifest = state.deployed_release, wanted_manifest(context, state)
    if release is not None and manifest is not None and manifest.routing is not None:
        await context.converger.reroute(
            manifest,
            release=release.id,
            recorder=context.recorder(),
            terms=_terms(context, f"{project}/{name}", state, closely=()),
        )


def drift_policy(context: Context, title: str, state: EnvironmentState) -> DriftPolicy:
    """What becomes of drift in an environment: the operator's word, or the descriptor's stricter one."""
    project, _, name = title.partition("/")
    render = None if state.deployed_digest is None else state.render_of(state.deployed_digest)
    asked: DriftPolicy = "heal" if render is None else render.drift
    return drift_of(context.policy, project=project, environment=name, asked=asked)


def _terms(context: Context, title: str, state: EnvironmentState, *, closely: Closely) -> Terms:
    policy = drift_policy(context, title, state)

    def held(drift: DriftDetected) -> tuple[Event, ...]:
        differs = ", ".join(sorted(drift.services))
        reason = f"drift on {drift.host} ({differs}), and the policy is `hold`"
        state = context.environment(*title.split("/", 1))
        return with_end_of_watch(state, decide_drift_hold(state, reason=reason))

    terms = Terms(
        policy=policy,
        stopped=state.stopped_hashes,
        closely=closely,
        kept=state.kept_places,
        parallel=conduct_of(state, state.deployed_digest).parallel,
        drained_hosts=state.drained.hosts,
        drained_services=state.drained.services,
    )
    return replace(terms, consequence=held) if policy == "hold" else terms
