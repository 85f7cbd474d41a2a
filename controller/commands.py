"""What a person can ask for: deploy a commit, roll back, hold, resume.

Each command folds the environment's stream under its lock, lets a pure decision answer, appends, and, when a
Release follows, does the work in the foreground with the code the controller uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.awaiting import ImagesMissingError, begin_wait, expired, rest_seconds
from controller.context import LOCK_DEADLINE_SECONDS
from controller.decide.deploy import decide_person
from controller.decide.hold import decide_hold, decide_resume
from controller.decide.rollback import decide_rollback, find_target
from controller.decide.state import fold
from controller.locks import locked
from controller.releasing import finish, finish_active
from controller.rendering import candidate_for
from controller.targets import Target
from events.streams import environment_stream

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from controller.context import Context
    from controller.decide.rollback import RollbackTarget
    from controller.decide.state import EnvironmentState, Release
    from controller.rendering import RefreshCause, Subject
    from events.catalog import Event
    from events.catalog.environment import ImageAwaited
    from events.envelope import Actor
    from events.log import EventLog
    from events.recorder import Recorder
    from projections.converge.release import Verdict


async def deploy(
    context: Context, subject: Subject, *, actor: Actor, refresh_images: bool = False
) -> Verdict:
    """Deploy a commit that a person named, as a new Release, and wait for its verdict.

    Images that CI has not pushed yet are waited for, without the lock. Raises UserError for a bad commit, a
    hold or a suspend, and OutsideError `image-await-expired`, with nothing changed.
    """
    recorder = context.recorder(actor)
    wait: ImageAwaited | None = None
    since = context.clock.now()
    while True:
        try:
            return await _deploy(context, subject, recorder=recorder, refresh_images=refresh_images)
        except ImagesMissingError as error:
            now = context.clock.now()
            if wait is None:
                wait = begin_wait(error, revision=subject.revision, now=now, trigger="person")
                recorder.append(environment_stream(subject.project, subject.environment), wait)
                context.progress(f"{subject.project}/{subject.environment}: {error.message}")
            if now >= wait.until:
                raise expired(error.images, since=since, why=error.why) from error
            await context.clock.sleep(rest_seconds(since=since, until=wait.until, now=now))


async def _deploy(context: Context, subject: Subject, *, recorder: Recorder, refresh_images: bool) -> Verdict:
    target = Target(project=subject.project, name=subject.environment)
    async with _lock(context, target, purpose="deploy"):
        await finish_active(context, target.project, target.name)
        before = context.environment(target.project, target.name)
        refresh: RefreshCause | None = "person" if refresh_images else None
        candidate = await candidate_for(
            context, subject, state=before, recorder=recorder, refresh=refresh, by_person=True
        )
        state = context.environment(target.project, target.name)
        release = context.ids.release_id()
        decided = decide_person(state, candidate, release_id=release)
        return await _release(
            context, target, state=state, release=release, decided=decided, recorder=recorder
        )


async def rollback(
    context: Context, target: Target, *, to: RollbackTarget, reason: str, actor: Actor
) -> Verdict:
    """Run a recorded Manifest again and hold the environment there; neither Git nor a registry is needed."""
    async with _lock(context, target, purpose="rollback"):
        state = context.environment(target.project, target.name)
        wanted = find_target(state, to)
        release = context.ids.release_id()
        decided = decide_rollback(state, wanted, release_id=release, reason=reason)
        recorder = context.recorder(actor)
        return await _release(
            context, target, state=state, release=release, decided=decided, recorder=recorder
        )


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


def _lock(context: Context, target: Target, *, purpose: str) -> AbstractAsyncContextManager[None]:
    return locked(
        context.home.run,
        str(target),
        clock=context.clock,
        purpose=purpose,
        deadline_seconds=LOCK_DEADLINE_SECONDS,
        waiting=context.progress,
    )


async def _release(
    context: Context,
    target: Target,
    *,
    state: EnvironmentState,
    release: str,
    decided: tuple[Event, ...],
    recorder: Recorder,
) -> Verdict:
    """Append a decision that requests `release`, and finish that Release."""
    recorder.append(environment_stream(target.project, target.name), *decided, expected=state.version)
    return await finish(context, target.project, target.name, release=release, recorder=recorder)


def _append(
    context: Context, target: Target, *, state: EnvironmentState, decided: tuple[Event, ...], actor: Actor
) -> None:
    stream = environment_stream(target.project, target.name)
    context.recorder(actor).append(stream, *decided, expected=state.version)
