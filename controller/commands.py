"""What a person can ask for: deploy a commit, roll back, hold, resume.

Each command folds the environment's stream under its lock, lets a pure decision answer, appends, and, when a
Release follows, does the work in the foreground with the code the controller uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.context import LOCK_DEADLINE_SECONDS
from controller.decide.deploy import Candidate, decide_person, refused
from controller.decide.hold import decide_hold, decide_resume
from controller.decide.rollback import decide_rollback, find_target
from controller.decide.state import fold
from controller.locks import locked
from controller.permitting import judged, not_allowed
from controller.releasing import finish, finish_active
from controller.rendering import candidate_for
from controller.targets import Target
from events.streams import environment_stream

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractAsyncContextManager

    from controller.context import Context
    from controller.decide.rollback import RollbackTarget
    from controller.decide.state import EnvironmentState, Release
    from controller.rendering import Subject
    from events.catalog import Event
    from events.envelope import Actor
    from events.log import EventLog
    from events.recorder import Recorder
    from projections.converge.release import Verdict


async def deploy(context: Context, subject: Subject, *, actor: Actor, allow: Collection[str] = ()) -> Verdict:
    """Deploy a commit that a person named, as a new Release, and wait for its verdict.

    `allow` names permissions that the person gives to what this commit renders to. Raises UserError for a
    bad commit, a hold or a suspend, and `not-allowed` after recording it, with nothing changed.
    """
    target = Target(project=subject.project, name=subject.environment)
    async with _lock(context, target, purpose="deploy"):
        await finish_active(context, target.project, target.name)
        recorder = context.recorder(actor)
        before = context.environment(target.project, target.name)
        candidate = await candidate_for(context, subject, state=before, recorder=recorder)
        state = context.environment(target.project, target.name)
        release = context.ids.release_id()
        candidate = await judged(context, candidate, target=target, state=state, given=allow)
        decided = decide_person(state, candidate, release_id=release, allowed=allow)
        _record(target, state=state, decided=decided, recorder=recorder)
        if candidate.refused:
            raise not_allowed(target, candidate.refused)
        return await finish(context, target.project, target.name, release=release, recorder=recorder)


async def rollback(
    context: Context,
    target: Target,
    *,
    to: RollbackTarget,
    reason: str,
    actor: Actor,
    allow: Collection[str] = (),
) -> Verdict:
    """Run a recorded Manifest again and hold the environment there; neither Git nor a registry is needed.

    Raises UserError for a target that there is not, and `not-allowed` after recording it.
    """
    async with _lock(context, target, purpose="rollback"):
        state = context.environment(target.project, target.name)
        wanted = find_target(state, to)
        release = context.ids.release_id()
        candidate = await judged(context, _candidate_of(wanted), target=target, state=state, given=allow)
        decided: tuple[Event, ...] = (refused(candidate),)
        if not candidate.refused:
            decided = decide_rollback(state, wanted, release_id=release, reason=reason, allowed=allow)
        recorder = context.recorder(actor)
        _record(target, state=state, decided=decided, recorder=recorder)
        if candidate.refused:
            raise not_allowed(target, candidate.refused)
        return await finish(context, target.project, target.name, release=release, recorder=recorder)


def preview_rollback(log: EventLog, target: Target, *, to: RollbackTarget) -> Release:
    """The Release that `rollback` would go back to; nothing is changed."""
    return find_target(fold(log.read_stream(environment_stream(target.project, target.name))), to)


async def hold(context: Context, target: Target, *, reason: str, actor: Actor) -> None:
    """Pin the environment to what is deployed until `resume`."""
    async with _lock(context, target, purpose="hold"):
        state = context.environment(target.project, target.name)
        _append(context, target, state=state, decided=decide_hold(state, reason=reason), actor=actor)


async def resume(context: Context, target: Target, *, reason: str, actor: Actor) -> None:
    """End the hold; the next look deploys what Git shows."""
    async with _lock(context, target, purpose="resume"):
        state = context.environment(target.project, target.name)
        _append(context, target, state=state, decided=decide_resume(state, reason=reason), actor=actor)


def _candidate_of(release: Release) -> Candidate:
    """What a rollback brings back, to be judged as anything else."""
    return Candidate(
        digest=release.digest, services={}, revision=release.revision or "", version=release.version
    )


def _lock(context: Context, target: Target, *, purpose: str) -> AbstractAsyncContextManager[None]:
    return locked(
        context.home.run,
        str(target),
        clock=context.clock,
        purpose=purpose,
        deadline_seconds=LOCK_DEADLINE_SECONDS,
        waiting=context.progress,
    )


def _record(
    target: Target, *, state: EnvironmentState, decided: tuple[Event, ...], recorder: Recorder
) -> None:
    """Append a decision, provided that nothing was decided since `state`."""
    recorder.append(environment_stream(target.project, target.name), *decided, expected=state.version)


def _append(
    context: Context, target: Target, *, state: EnvironmentState, decided: tuple[Event, ...], actor: Actor
) -> None:
    _record(target, state=state, decided=decided, recorder=context.recorder(actor))
