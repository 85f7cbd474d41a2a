"""A commit that a person wants deployed: asked for under the environment's lock, and brought to its verdict.

The environment's stream is folded, a pure decision answers, what it says is appended, and the Release that
follows is worked on in the foreground with the code the controller uses. `rolling_back.py` and `holding.py`
have what else a person asks for; they stand apart because neither renders, nor waits for what that takes.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from controller.awaiting import ImagesMissingError, begin_wait, expired, rest_seconds
from controller.candidates import candidate_for
from controller.decide.by_hand import decide_person
from controller.decide.scope import Scope
from controller.deciding import append_decided
from controller.declaring import take_places
from controller.expiring import expire
from controller.following import finish_here, follow
from controller.locks import LOCKED
from controller.permitting import judged, raise_refusal
from controller.placed import hosts_named
from controller.providers.table import PROVIDERS
from controller.releasing import finish_active, finish_begun
from controller.removing import finish_destroy
from controller.targets import Target
from controller.tenures import tenure
from controller.watch_window import watched
from events.catalog.environment import EnvironmentHeld
from events.kernel.errors import OutsideError, StagecraftError
from gitops.places import places_in

if TYPE_CHECKING:
    from collections.abc import Collection

    from controller.candidates import RefreshCause, Subject
    from controller.context import Context
    from controller.decide.state import EnvironmentState
    from events.catalog import Event
    from events.catalog.environment import ImageAwaited
    from events.envelope import Actor
    from events.recorder import Recorder
    from projections.converge.work import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a person wants a commit deployed."""

    allow: tuple[str, ...] = ()  # permissions that they give to what it renders to
    refresh_images: bool = False
    at_head: bool = True  # it is the newest commit that they have
    confirm_prune: int | None = None  # so many services may leave with it
    scope: Scope = field(default_factory=Scope)  # the hosts that are to get it


async def deploy(
    context: Context,
    subject: Subject,
    *,
    actor: Actor,
    allow: Collection[str] = (),
    refresh_images: bool = False,
    at_head: bool = True,
    confirm_prune: int | None = None,
    scope: Scope | None = None,
) -> Verdict:
    """Deploy a commit that a person named, as a new Release, and wait for its verdict.

    One that the branch does not show is held; `at_head` tells whether it is the newest one the person has.
    `confirm_prune` is the number of services that may leave with it; see `pruning.py`. With a `scope` only
    some hosts get it, and the environment is held until all have it or a person ends that.

    Images that CI has not pushed yet are waited for, without the lock. When another process works on the
    environment, the Release is asked for at once and followed: whoever gets the lock next, this process
    included, brings it to its verdict.

    Where the project asks for a watch, it is waited for too, without the lock: a Release that fails then goes
    back, and is `rolled_back`.

    `allow` names permissions that the person gives to what this commit renders to. Raises UserError for a
    bad commit, a hold or a suspend, and `not-allowed` after recording it, and OutsideError
    `image-await-expired`; nothing is changed then. Raises UserError `release-superseded` when something newer
    was asked for before the Release was begun, or while it waited for health.
    """
    title = f"{subject.project}/{subject.environment}"
    asked = Asked(
        allow=tuple(allow),
        refresh_images=refresh_images,
        at_head=at_head,
        confirm_prune=confirm_prune,
        scope=scope or Scope(),
    )
    wait: ImageAwaited | None = None
    since = context.clock.now()
    while True:
        try:
            verdict = await _deploy(context, subject, asked, actor=actor)
        except ImagesMissingError as error:
            now = context.clock.now()
            if wait is None:
                wait = begin_wait(error, revision=subject.revision, now=now, trigger="person")
                append_decided(context, title, partial(_told, wait), recorder=context.recorder(actor))
                context.progress(f"{title}: {error.message}")
            if now >= wait.until:
                raise expired(error.images, since=since, why=error.why) from error
            await context.clock.sleep(rest_seconds(since=since, until=wait.until, now=now))
        else:
            target = Target(project=subject.project, name=subject.environment)
            return await watched(context, target, verdict)


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
            return await finish_here(held, target, release, recorder=recorder)
    release = await request(context, subject, asked, recorder=context.recorder(actor))
    return await follow(context, target, release, purpose="deploy")


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
    scope = hosts_named(context, candidate.digest, asked.scope)
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
            scope=scope,
        )

    decided = append_decided(context, str(target), decide, recorder=recorder)
    raise_refusal(target, decided)
    for event in decided:
        if isinstance(event, EnvironmentHeld):
            ends = f"`stagecraft resume --env {target} --hold` ends it, or a branch that shows it"
            context.progress(f"{target}: held there: {event.reason}; {ends}")
    return release
