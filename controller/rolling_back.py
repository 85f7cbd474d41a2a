"""Going back to a recorded Release, at a person's word.

Decided under the environment's lock and worked on in the foreground, like a deploy, with the code that the
controller uses. Nothing is rendered and nobody is asked what an image is.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from controller.decide.by_hand import held_partly, refuse_partial_first, refused
from controller.decide.deploy import Candidate
from controller.decide.folding import fold
from controller.decide.rollback import decide_rollback, find_target
from controller.decide.scope import Scope
from controller.deciding import append_decided
from controller.following import finish_here, follow
from controller.locks import LOCKED
from controller.permitting import judged, raise_refusal
from controller.placed import hosts_named
from controller.releasing import finish_begun
from controller.removing import finish_destroy
from controller.tenures import tenure
from events.kernel.errors import OutsideError
from events.streams import environment_stream

if TYPE_CHECKING:
    from collections.abc import Collection

    from controller.context import Context
    from controller.decide.rollback import RollbackTarget
    from controller.decide.scope import Scope
    from controller.decide.state import EnvironmentState, Release
    from controller.targets import Target
    from events.catalog import Event
    from events.envelope import Actor
    from events.log import EventLog
    from projections.converge.work import Verdict


async def rollback(
    context: Context,
    target: Target,
    *,
    to: RollbackTarget,
    reason: str,
    actor: Actor,
    allow: Collection[str] = (),
    scope: Scope | None = None,
) -> Verdict:
    """Run a recorded Manifest again and hold the environment there; neither Git nor a registry is needed.

    Nobody who waits for health keeps it waiting: beside another process it is asked for at once and
    followed, and that process makes way. What is gone back to is settled when it is called, whatever becomes
    of the Release under way until it is decided. With a `scope` only some hosts go back.

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
        hosts = hosts_named(context, wanted.digest, scope)
        refuse_partial_first(state, hosts)
        held = held_partly(state, wanted.digest, version=wanted.version, scope=hosts) if hosts else None
        return decide_rollback(
            state, wanted, release_id=release, reason=reason, allowed=allow, held=held, scope=hosts
        )

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
            return await finish_here(held, target, release, recorder=recorder)
    raise_refusal(target, append_decided(context, str(target), decide, recorder=context.recorder(actor)))
    return await follow(context, target, release, purpose="rollback")


def preview_rollback(log: EventLog, target: Target, *, to: RollbackTarget) -> Release:
    """The Release that `rollback` would go back to; nothing is changed."""
    return find_target(fold(log.read_stream(environment_stream(target.project, target.name))), to)


def _candidate_of(release: Release) -> Candidate:
    """What a rollback brings back, to be judged as anything else."""
    return Candidate(
        digest=release.digest, services={}, revision=release.revision or "", version=release.version
    )
