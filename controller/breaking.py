"""Breaking an environment's lock, on the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.holders import end_holder
from controller.locks import lock_file
from events.catalog.environment import LockBroken
from events.streams import environment_stream

if TYPE_CHECKING:
    from controller.context import Context
    from controller.holders import Ended
    from controller.targets import Target
    from events.envelope import Actor


def break_lock(context: Context, target: Target, *, reason: str, actor: Actor) -> Ended:
    """End the holder that hangs and record who did it and why.

    The event is appended as soon as the lock is free, before anything else is waited for: whoever waits for
    the lock reads the environment's stream only after having got it. Raises what `end_holder` raises, with
    nothing recorded.
    """
    ended = end_holder(lock_file(context.home.run, str(target)), str(target))
    broken = LockBroken(
        holder_pid=ended.pid, since=ended.holder.since, purpose=ended.holder.purpose, reason=reason
    )
    context.recorder(actor).append(environment_stream(target.project, target.name), broken)
    return ended
