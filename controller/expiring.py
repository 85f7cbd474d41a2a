"""Ending holds and suspends whose time is over, as an event of the schedule.

A fold reads no clock, so that the time is over has to be said. Whoever next works on the environment under
its lock says it; the daemon wakes at that time, and its pass is the backstop.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from controller.decide.hold import decide_expiry
from controller.deciding import append_decided
from events.envelope import SCHEDULE

if TYPE_CHECKING:
    from controller.context import Context
    from controller.decide.state import EnvironmentState


def expire(context: Context, title: str) -> None:
    """Say what has ended by now; nothing is appended when nothing has."""
    decide = partial(decide_expiry, now=context.clock.now())
    append_decided(context, title, decide, recorder=context.recorder(SCHEDULE))


def seconds_to_expiry(context: Context, state: EnvironmentState) -> float | None:
    """Until something ends by itself, never negative; None: nothing does."""
    end = state.expires
    return None if end is None else max(0.0, (end - context.clock.now()).total_seconds())
