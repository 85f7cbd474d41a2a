"""What a person can ask for: deploy a commit, roll back, hold, resume.

Each command folds the environment's stream under its lock, lets a pure decision answer, appends, and, when a
Release follows, does the work in the foreground with the code the controller uses.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from controller.awaiting import ImagesMissingError, begin_wait, expired, rest_seconds
from controller.decide.deploy import Candidate, decide_person, refused
from controller.decide.folding import fold
from controller.decide.hold import decide_hold, decide_resume, decide_suspend
from controller.decide.rollback import decide_rollback, find_target
from controller.deciding import append_decided
from controller.declaring import take_places
from controller.expiring import expire
from controller.following import follow, superseded
from controller.locks import LOCKED
from controller.permitting import judged, raise_refusal
from controller.providers.table import PROVIDERS
from controller.releasing import finish, finish_active, finish_begun
from controller.removing import finish_destroy
from controller.rendering import candidate_for
from controller.targets import Target
from controller.tenures import tenure
from events.catalog.environment import EnvironmentHeld
from events.kernel.errors import OutsideError, StagecraftError
from events.streams import environment_stream
from gitops.places import places_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from controller.context import Context
    from controller.decide.hold import Stop
    from controller.decide.rollback import RollbackTarget
    from controller.decide.state import EnvironmentState, Release
    from controller.rendering import RefreshCause, Subject
    from controller.tenures import Draw
    from events.catalog import Event
    from events.catalog.environment import ImageAwaited
    from events.envelope import Actor
    from events.log import EventLog
    from events.recorder import Recorder
    from projections.converge.release import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a person wants a commit deployed."""

    allow: tuple[str, ...] = ()  # permissions that they give to what it renders to
    refresh_images: bool = False
    at_head: bool = True  # it is the newest commit that they have
    confirm_prune: int | None = None  # so many services may leave with it


async def deploy(
    context: Context,
    subject: Subject,
    *,
    actor: Actor,
    allow: Collection[str] = (),
    refresh_images: bool = False,
    at_head: bool = True,
    confirm_prune: int | None = None,
) -> Verdict:
    """Deploy a commit that a person named, as a new Release, and wait for its verdict.

    One that the branch does not show is held; `at_head` tells whether it is the newest one the person has.
    `confirm_prune` is the number of services that may leave with it; see `pruning.py`.

    Images that CI has not pushed yet are waited for, without the lock. When another process works on the
    environment, the Release is asked for at once and followed: whoever gets the lock next, this process
    included, brings it to its verdict.

    `allow` names permissions that the person gives to what this commit renders to. Raises UserError for a
    bad commit, a hold or a suspend, and `not-allowed` after recording it, and OutsideError
    `image-await-expired`; nothing is changed then. Raises UserError `release-superseded` when something newer
    was asked for before the Release was begun, or while it waited for health.
    """
    title = f"{subject.project}/{subject.environment}"
    asked = Asked(
        allow=tuple(allow), refresh_images=refresh_images, at_head=at_head, confirm_prune=confirm_prune
    )
    wait: ImageAwaited | None = None
    since = context.clock.now()
    while True:
        try:
            return await _deploy(context, subject, asked, actor=actor)
        except ImagesMissingError as error:
            now = context.clock.now()
            if wait is None:
                wait = begin_wait(error, revision=subject.revision, now=now, trigger="person")
                append_decided(context, title, partial(_told, wait), recorder=context.recorder(actor))
                context.progress(f"{title}: {error.message}")
            if now >= wait.until:
                raise expired(error.images, since=since, why=error.why) from error
            await context.clock.sleep(rest_seconds(since=since, until=wait.until, now=now))


def _told(event: Event, _state: EnvironmentState) -> tuple[Event, ...]:
    return (event,)


async def _deploy(context: Context, subject: Subject, asked: Asked, *, actor: Actor) -> Verdict:
    """One try; raises ImagesMissingError while CI has not pushed what the commit names."""
    target = Target(project=subject.project, name=subject.environment)
    title = str(target)
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
            await finish_destroy(held, target.project, target.name)
            expire(held, title)
            recorder = held.recorder(actor)
            try:
                release = await request(held, subject, asked, recorder=recorder)
            except StagecraftError:
                await finish_active(held, target.project, target.name)  # what was asked for before stands
                raise
            await finish_begun(held, target.project, target.name)
            return await _finished(held, target, release, recorder=recorder)
    release = await request(context, subject, asked, recorder=context.recorder(actor))
    return await follow(context, target, release, purpose="deploy")


async def _finished(held: Context, target: Target, release: str, *, recorder: Recorder) -> Verdict:
    """The verdict of a Release that is run here. Raises UserError `release-superseded`."""
    verdict = await finish(held, target.project, target.name, release=release, recorder=recorder)
    if verdict.status == "superseded":
        raise superseded(target, held.environment(target.project, target.name).releases[release])
    return verdict


async def request(context: Context, subject: Subject, asked: Asked, *, recorder: Recorder) -> str:
    """Ask for a commit's Release and answer its id. Raises what `deploy` raises."""
    places = await asyncio.to_thread(places_in, subject.tree, subject.config_path, PROVIDERS)
    before = context.environment(subject.project, subject.environment)
    refresh: RefreshCause | None = "person" if asked.refresh_images else None
    candidate = await candidate_for(
        context, subject, state=before, recorder=recorder, refresh=refresh, by_person=True
    )
    target = Target(project=subject.project, name=subject.environment)
    release = context.release_id(subject.project, subject.environment)
    take_places(
        context,
        places,
        hosts=candidate.services,
        target=target,
        revision=subject.revision,
        recorder=recorder,
    )

    def decide(state: EnvironmentState) -> tuple[Event, ...]:
        offered = judged(context, candidate, target=target, state=state, given=asked.allow)
        return decide_person(
            state,
            offered,
            release_id=release,
            allowed=asked.allow,
            at_head=asked.at_head,
            confirmed_prune=asked.confirm_prune,
        )

    decided = append_decided(context, str(target), decide, recorder=recorder)
    raise_refusal(target, decided)
    for event in decided:
        if isinstance(event, EnvironmentHeld):
            ends = f"`stagecraft resume --env {target} --hold` ends it, or a branch that shows it"
            context.progress(f"{target}: held there: {event.reason}; {ends}")
    return release


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

    Nobody who waits for health keeps it waiting: beside another process it is asked for at once and
    followed, and that process makes way. What is gone back to is settled when it is called, whatever becomes
    of the Release under way until it is decided.

    Raises UserError for a target that there is not, `not-allowed` after recording it, and
    `release-superseded`.
    """
    release = context.release_id(target.project, target.name)
    asked = context.environment(target.project, target.name)
    chosen = None if asked.destroying is not None else find_target(asked, to).id  # None: once it is gone

    def decide(state: EnvironmentState) -> tuple[Event, ...]:
        wanted = find_target(state, to) if chosen is None else state.releases[chosen]
        offered = judged(context, _candidate_of(wanted), target=target, state=state, given=allow)
        if offered.refused:
            return (refused(offered),)
        return decide_rollback(state, wanted, release_id=release, reason=reason, allowed=allow)

    async with AsyncExitStack() as stack:
        try:
            held = await stack.enter_async_context(
                tenure(context, str(target), purpose="rollback", draw="vital", deadline_seconds=0)
            )
        except OutsideError as error:
            if error.code != LOCKED:
                raise
            context.progress(f"{target}: {error.why}")
        else:
            recorder = held.recorder(actor)
            await finish_destroy(held, target.project, target.name)
            raise_refusal(target, append_decided(held, str(target), decide, recorder=recorder))
            await finish_begun(held, target.project, target.name)
            return await _finished(held, target, release, recorder=recorder)
    raise_refusal(target, append_decided(context, str(target), decide, recorder=context.recorder(actor)))
    return await follow(context, target, release, purpose="rollback")


def preview_rollback(log: EventLog, target: Target, *, to: RollbackTarget) -> Release:
    """The Release that `rollback` would go back to; nothing is changed."""
    return find_target(fold(log.read_stream(environment_stream(target.project, target.name))), to)


async def hold(
    context: Context,
    target: Target,
    *,
    reason: str,
    actor: Actor,
    until: datetime | None = None,
    release: str | None = None,
) -> None:
    """Pin the environment to what is deployed until `resume` or `until`."""
    decide = partial(decide_hold, reason=reason, until=until, release=release)
    await _decided(context, target, decide, actor=actor, purpose="hold", draw="vital")


async def suspend(
    context: Context, target: Target, *, reason: str, actor: Actor, until: datetime | None = None
) -> None:
    """Deploy nothing that Git shows and heal nothing until `resume` or `until`."""
    decide = partial(decide_suspend, reason=reason, until=until)
    await _decided(context, target, decide, actor=actor, purpose="suspend", draw="vital")


async def resume(
    context: Context, target: Target, *, reason: str, actor: Actor, ends: Stop | None = None
) -> None:
    """End the hold, the suspend or the rest of healing; the next look deploys what Git shows."""
    decide = partial(decide_resume, reason=reason, ends=ends)
    await _decided(context, target, decide, actor=actor, purpose="resume", draw="now")


async def _decided(
    context: Context,
    target: Target,
    decide: Callable[[EnvironmentState], tuple[Event, ...]],
    *,
    actor: Actor,
    purpose: str,
    draw: Draw,
) -> None:
    """Append what `decide` answers under the environment's lock, in the name of `actor`."""
    async with tenure(context, str(target), purpose=purpose, draw=draw) as held:
        append_decided(held, str(target), decide, recorder=held.recorder(actor))


def _candidate_of(release: Release) -> Candidate:
    """What a rollback brings back, to be judged as anything else."""
    return Candidate(
        digest=release.digest, services={}, revision=release.revision or "", version=release.version
    )
