"""Keeping an environment where it is, or leaving it alone, and letting it go, at a person's word.

Each is a decision on the environment's stream under its lock, appended, and nothing else: no host, engine,
repository or registry is asked, so what is wrong with one of them keeps nobody from a hold.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from controller.decide.hold import decide_hold, decide_resume, decide_suspend
from controller.deciding import append_decided
from controller.tenures import tenure

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from controller.context import Context
    from controller.decide.hold import Stop
    from controller.decide.state import EnvironmentState
    from controller.targets import Target
    from controller.tenures import Draw
    from events.catalog import Event
    from events.envelope import Actor


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
