"""What a person can ask for: deploy a commit, roll back, hold, resume.

Each command folds the environment's stream under its lock, lets a pure decision answer, appends, and, when a
Release follows, does the work in the foreground with the code the controller uses.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from controller.decide.deploy import decide_person
from controller.decide.hold import decide_hold, decide_resume
from controller.decide.rollback import decide_rollback, find_target
from controller.decide.state import fold
from controller.deciding import append_decided
from controller.following import follow
from controller.locks import LOCKED
from controller.releasing import finish, finish_active
from controller.rendering import candidate_for
from controller.targets import Target
from controller.tenures import tenure
from events.kernel.errors import OutsideError
from events.streams import environment_stream

if TYPE_CHECKING:
    from controller.context import Context
    from controller.decide.rollback import RollbackTarget
    from controller.decide.state import EnvironmentState, Release
    from controller.rendering import Subject
    from events.catalog import Event
    from events.envelope import Actor
    from events.log import EventLog
    from events.recorder import Recorder
    from projections.converge.release import Verdict


async def deploy(context: Context, subject: Subject, *, actor: Actor) -> Verdict:
    """Deploy a commit that a person named, as a new Release, and wait for its verdict.

    When another process works on the environment, the Release is asked for at once and followed: whoever
    gets the lock next, this process included, brings it to its verdict.

    Raises UserError for a bad commit, a hold or a suspend, with nothing changed.
    """
    title = f"{subject.project}/{subject.environment}"
    async with AsyncExitStack() as stack:
        try:
            held = await stack.enter_async_context(
                tenure(context, title, purpose="deploy", draw="now", deadline_seconds=0)
            )
        except OutsideError as error:
            if error.code != LOCKED:
                raise
            context.progress(f"{title}: {error.why}")
        else:
            await finish_active(held, subject.project, subject.environment)
            recorder = held.recorder(actor)
            release = await request(held, subject, recorder=recorder)
            return await finish(
                held, subject.project, subject.environment, release=release, recorder=recorder
            )
    release = await request(context, subject, recorder=context.recorder(actor))
    return await follow(context, Target(project=subject.project, name=subject.environment), release)


async def request(context: Context, subject: Subject, *, recorder: Recorder) -> str:
    """Ask for a commit's Release and answer its id. Raises what `deploy` raises."""
    before = context.environment(subject.project, subject.environment)
    candidate = await candidate_for(context, subject, state=before, recorder=recorder)
    release = context.release_id(subject.project, subject.environment)

    def decide(state: EnvironmentState) -> tuple[Event, ...]:
        return decide_person(state, candidate, release_id=release)

    append_decided(context, f"{subject.project}/{subject.environment}", decide, recorder=recorder)
    return release


async def rollback(
    context: Context, target: Target, *, to: RollbackTarget, reason: str, actor: Actor
) -> Verdict:
    """Run a recorded Manifest again and hold the environment there; neither Git nor a registry is needed."""
    release = context.release_id(target.project, target.name)

    def decide(state: EnvironmentState) -> tuple[Event, ...]:
        return decide_rollback(state, find_target(state, to), release_id=release, reason=reason)

    async with tenure(context, str(target), purpose="rollback", draw="vital") as held:
        recorder = held.recorder(actor)
        append_decided(held, str(target), decide, recorder=recorder)
        return await finish(held, target.project, target.name, release=release, recorder=recorder)


def preview_rollback(log: EventLog, target: Target, *, to: RollbackTarget) -> Release:
    """The Release that `rollback` would go back to; nothing is changed."""
    return find_target(fold(log.read_stream(environment_stream(target.project, target.name))), to)


async def hold(context: Context, target: Target, *, reason: str, actor: Actor) -> None:
    """Pin the environment to what is deployed until `resume`."""
    async with tenure(context, str(target), purpose="hold", draw="vital") as held:
        append_decided(
            held, str(target), lambda state: decide_hold(state, reason=reason), recorder=held.recorder(actor)
        )


async def resume(context: Context, target: Target, *, reason: str, actor: Actor) -> None:
    """End the hold or the rest of healing; the next look deploys what Git shows."""
    async with tenure(context, str(target), purpose="resume", draw="now") as held:
        append_decided(
            held,
            str(target),
            lambda state: decide_resume(state, reason=reason),
            recorder=held.recorder(actor),
        )
