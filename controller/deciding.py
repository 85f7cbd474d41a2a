"""Deciding on the newest state and appending what was decided, as one step.

The append expects the version that was decided on. Under the environment's lock few others append to its
stream; who may do so without it are a person who breaks a lock, whoever asks for a Release while another
process works, and the breaker. So a conflict is met by reading and deciding again, a few times at
most: a decision that was not made on what is so now is never appended.

What is decided may end the watch over the last Release, whoever decides: that is said in the same append.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.decide.watch import with_end_of_watch
from events.log import VersionConflictError
from events.streams import environment_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.context import Context
    from controller.decide.state import EnvironmentState
    from events.catalog import Event
    from events.recorder import Recorder

_AGAIN_UNDER_LOCK = 1
_AGAIN_BESIDE = 10  # another process appends at each step of its Release


def append_decided(
    context: Context,
    title: str,
    decide: Callable[[EnvironmentState], tuple[Event, ...]],
    *,
    recorder: Recorder,
) -> tuple[Event, ...]:
    """Append what `decide` answers for the newest state; nothing when it answers nothing.

    `decide` may be asked again. Raises what it raises, and VersionConflictError when the stream moves on
    faster than that.
    """
    project, _, name = title.partition("/")
    again = _AGAIN_BESIDE if recorder.tenure is None else _AGAIN_UNDER_LOCK
    while True:
        state = context.environment(project, name)
        decided = decide(state)
        try:
            if decided:
                events = with_end_of_watch(state, decided)
                recorder.append(environment_stream(project, name), *events, expected=state.version)
        except VersionConflictError:
            if again == 0:
                raise
            again -= 1
        else:
            return decided
