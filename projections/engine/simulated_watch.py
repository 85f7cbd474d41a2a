"""What a watch of a simulated engine tells: the differences between one look and the next.

Containers of a world live by the clock and not by themselves, so nobody is there to say that one ended; and
a world in a file is changed by others. Looking again finds all of it. What came and went between two looks
is missed, as hints may be.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping

from events.kernel.clock import Clock
from projections.engine import simulated_answers as answers
from projections.engine.events import event_of
from projections.engine.simulated_world import COMPOSE_PROJECT, SimulatedContainer, World
from projections.engine.watch_port import EngineEvent

_PAUSE_SECONDS = 0.2  # between two looks
_WORDS = {"running": "start", "exited": "die", "restarting": "die", "paused": "pause"}

States = Mapping[str, tuple[str, SimulatedContainer, tuple[str, ...]]]
"""State, container and names of its networks, by id."""


def states(world: World, now: float) -> States:
    """Of the containers that the filter by label, which the product sets, lets through."""
    return {
        key: (world.moment(one, now).state, one, one.networks)
        for key, one in world.containers.items()
        if COMPOSE_PROJECT in one.labels
    }


async def changes(look: Callable[[], States], *, clock: Clock) -> AsyncGenerator[EngineEvent]:
    """What changes from now on; the first item says that it is looked for. Raises what `look` raises."""
    before = look()
    yield EngineEvent()
    while True:
        await clock.sleep(_PAUSE_SECONDS)
        now = look()
        for key in sorted({*before, *now}):
            was, one, left = before.get(key, ("", None, ()))
            becomes, one, joined = now.get(key, ("", one, left))
            action = "" if was == becomes else _WORDS.get(becomes, "") if becomes else "destroy"
            if action and one is not None:
                yield event_of(json.loads(answers.event(action, one)))
            if one is None or not was:
                continue
            for network in sorted({*left} ^ {*joined}):
                word = "connect" if network in joined else "disconnect"
                yield event_of(json.loads(answers.network_event(word, network, one)))
        before = now
