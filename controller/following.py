"""Following a Release that another process may be working on, to its verdict.

Nothing is handed over: the request stands in the log, and whoever holds the environment's lock next
finishes what waits there. That is the other process when it looks again, or this one when the lock is free
first. So neither a daemon that was stopped meanwhile nor a holder that died leaves a request unanswered.
A holder that waits for containers to turn healthy sees the request and makes way.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from controller.context import LOCK_DEADLINE_SECONDS
from controller.locks import LOCKED
from controller.releasing import finish, finish_active
from controller.tenures import tenure
from events.kernel.errors import OutsideError, UserError, Where, error_code
from events.streams import release_stream
from projections.converge.work import Verdict

if TYPE_CHECKING:
    from controller.context import Context
    from controller.decide.state import Release
    from controller.targets import Target
    from events.recorder import Recorder

RELEASE_SUPERSEDED = error_code(
    "release-superseded",
    "A newer decision came before the Release was begun, or ended its wait for containers to turn healthy.",
)

_LOOK_SECONDS = 0.25  # how late a free lock is seen
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")


async def follow(context: Context, target: Target, release: str, *, purpose: str) -> Verdict:
    """Wait for the verdict of a requested Release, finishing it here as soon as the lock is free.

    `purpose` is what the lock says of this process while it has it.
    Tells each of its steps once. Raises UserError `release-superseded`, OutsideError `environment-locked`
    when the log has been silent for as long as a lock is waited for, and what `finish_active` raises.
    """
    title, clock = str(target), context.clock
    seen, silent_since = context.log.head(), clock.monotonic()
    while (verdict := _verdict(context, target, release)) is None:
        patience = LOCK_DEADLINE_SECONDS - (clock.monotonic() - silent_since)
        try:
            async with tenure(
                context, title, purpose=purpose, deadline_seconds=0, waiting=_say_nothing
            ) as held:
                await finish_active(held, target.project, target.name)
        except OutsideError as error:
            if error.code != LOCKED or patience <= 0:
                raise
            head = await asyncio.to_thread(context.log.wait_for, seen, _LOOK_SECONDS)
            if head > seen:
                _tell(context, title, release, after=seen)
                seen, silent_since = head, clock.monotonic()
    return verdict


async def finish_here(held: Context, target: Target, release: str, *, recorder: Recorder) -> Verdict:
    """The verdict of a Release that is run here. Raises UserError `release-superseded`."""
    verdict = await finish(held, target.project, target.name, release=release, recorder=recorder)
    if verdict.status == "superseded":
        raise superseded(target, held.environment(target.project, target.name).releases[release])
    return verdict


def _verdict(context: Context, target: Target, release: str) -> Verdict | None:
    found = context.environment(target.project, target.name).releases[release]
    if found.status == "superseded":
        raise superseded(target, found)
    if found.status in ("completed", "failed", "rolled_back"):
        return Verdict(status=found.status, release=release, failure=found.failure, traffic=found.traffic)
    return None


def superseded(target: Target, release: Release) -> UserError:
    """The error for a Release that something newer came before."""
    ended = "did not wait on for its containers" if release.begun else "was not begun"
    newer = release.superseded_by
    return UserError(
        RELEASE_SUPERSEDED,
        f"{release.id} {ended}: {newer or 'something newer'} was asked for",
        where=Where(environment=str(target)),
        next=f"stagecraft releases show {newer}" if newer else f"stagecraft releases list --env {target}",
    )


def _tell(context: Context, title: str, release: str, *, after: int) -> None:
    """What others recorded of the Release, one line each."""
    for event in context.log.read(after=after, stream=release_stream(release)):
        context.progress(f"{title}: {release}: {_WORDS.sub(' ', event.type).lower()}")


def _say_nothing(_text: str) -> None:
    """The caller has said already who works there."""
