"""Handing a Release to the converger, and healing what is deployed.

The caller holds the environment's lock. A Release that a crash left without a verdict is finished by the
same call that starts a new one: the converger resumes where the log says it stopped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from controller.closer import is_due
from controller.decide.hold import decide_drift_hold
from controller.deciding import append_decided
from controller.removing import finish_destroy
from events.catalog.environment import BreakerClosed
from events.streams import environment_stream
from gitops.config.policy import drift_of
from projections.converge.heal import Terms
from projections.converge.release import ReleaseWork

if TYPE_CHECKING:
    from controller.context import Context
    from controller.decide.state import EnvironmentState
    from events.catalog import Event
    from events.catalog.environment import DriftDetected, DriftPolicy
    from events.recorder import Recorder
    from projections.converge.altered import Closely
    from projections.converge.release import Verdict


async def finish_active(context: Context, project: str, name: str) -> Verdict | None:
    """Bring what waits or was interrupted to its verdict, oldest first; answers the last, None without any.

    Each Release gets its own verdict: one that a crash left half done is finished before the one that was
    asked for meanwhile. Raises OutsideError when the host cannot be reached: the Release then stays as it
    is, for the next look. An environment that was being taken away is taken away first.
    """
    state = context.environment(project, name)
    if state.destroying is not None:
        await finish_destroy(context, project, name)
        state = context.environment(project, name)
    verdict: Verdict | None = None
    for release in state.unfinished:
        verdict = await finish(context, project, name, release=release.id)
    return verdict


async def finish(
    context: Context, project: str, name: str, *, release: str, recorder: Recorder | None = None
) -> Verdict:
    """Bring one Release to its verdict; without a recorder the controller finishes what somebody began."""
    state = context.environment(project, name)
    wanted, deployed, hold = state.releases[release], state.deployed_digest, state.hold
    work = ReleaseWork(
        release=wanted.id,
        kind=wanted.kind,
        brings_new=wanted.brings_new,
        manifest=context.manifest(wanted.digest),
        previous=None if deployed is None else context.manifest(deployed),
        stream=environment_stream(project, name),
        started=wanted.status == "running",
        succeeded_jobs=state.jobs,
        stopped=state.stopped_hashes,
        held_bad=frozenset() if hold is None else hold.bad,
        held_by_person=hold is not None and hold.clears == "manual" and hold.target != wanted.digest,
    )
    return await context.converger.run_release(work, recorder=recorder or context.recorder())


async def heal_deployed(context: Context, project: str, name: str) -> bool:
    """Make what runs agree with what is deployed; True when something had to be mended.

    Nothing is touched while the environment is suspended or its breaker is open; a breaker whose time is
    over is closed.
    """
    state = context.environment(project, name)
    release = state.deployed_release
    if release is None or state.suspended or state.breaker_open(context.clock.now()):
        return False
    if state.breaker_until is not None:
        closed = BreakerClosed(reason="cool-down")
        append_decided(context, f"{project}/{name}", lambda _: (closed,), recorder=context.recorder())
    title = f"{project}/{name}"
    asked = context.closer.take(title)
    due = is_due(context.observed, title, now=context.clock.now())
    try:
        healed = await context.converger.heal(
            context.manifest(release.digest),
            release=release.id,
            recorder=context.recorder(),
            terms=_terms(context, title, state, closely=None if due else asked),
        )
    except BaseException:
        context.closer.give_back(title, asked)
        raise
    if due:
        context.observed.note_inspected(title, context.clock.now())
    return healed


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
        return decide_drift_hold(context.environment(*title.split("/", 1)), reason=reason)

    terms = Terms(policy=policy, stopped=state.stopped_hashes, closely=closely)
    return replace(terms, consequence=held) if policy == "hold" else terms
