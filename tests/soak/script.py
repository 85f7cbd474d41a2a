"""What happens in a soak, as a pure function of its seed.

A step names an action and carries the random numbers that the action may use, so that what was drawn never
depends on how far a deploy had come: the same seed is the same script, however slow the machine. Pauses are
mostly shorter than a deploy, so that most things happen in the middle of others.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Action = Literal[
    "push a good version",
    "push a crashing version",
    "push an unhealthy version",
    "push an unusable commit",
    "revert the last commit",
    "rewrite the branch",
    "take the repository away for a while",
    "roll back",
    "roll back and kill the command",
    "hold",
    "resume",
    "break a lock",
    "kill a container",
    "stop a container",
    "remove a container",
    "end the daemon",
    "kill the daemon",
    "freeze the daemon",
    "restart the engine",
    "kill the engine",
    "freeze the engine",
]

WEIGHTS: dict[Action, int] = {
    "push a good version": 20,
    "push a crashing version": 5,
    "push an unhealthy version": 5,
    "push an unusable commit": 4,
    "revert the last commit": 7,
    "rewrite the branch": 2,
    "take the repository away for a while": 2,
    "roll back": 5,
    "roll back and kill the command": 3,
    "hold": 3,
    "resume": 5,
    "break a lock": 3,
    "kill a container": 9,
    "stop a container": 4,
    "remove a container": 7,
    "end the daemon": 3,
    "kill the daemon": 4,
    "freeze the daemon": 3,
    "restart the engine": 3,
    "kill the engine": 3,
    "freeze the engine": 4,
}
MEAN_PAUSE_SECONDS = 3.0
LONGEST_PAUSE_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happens."""

    number: int  # from 1
    pause_seconds: float  # before it
    action: Action
    pick: float  # 0 to 1: which environment, service or kind of mistake
    other: float  # 0 to 1: for actions that choose twice
    seconds: float  # 5 to 30: how long, for those that last

    def choose(self, count: int) -> int:
        """An index below `count`."""
        return min(int(self.pick * count), count - 1)

    def choose_other(self, count: int) -> int:
        """Another one, independent of the first."""
        return min(int(self.other * count), count - 1)


def script(seed: int) -> Iterator[Step]:
    """The steps of a seed, without end; it begins with a good version."""
    source = random.Random(seed)  # noqa: S311  # a script that can be replayed, not a secret
    actions = list(WEIGHTS)
    number = 0
    while True:
        number += 1
        (action,) = source.choices(actions, weights=list(WEIGHTS.values()))
        pause = min(source.expovariate(1 / MEAN_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        yield Step(
            number=number,
            pause_seconds=pause,
            action="push a good version" if number == 1 else action,
            pick=source.random(),
            other=source.random(),
            seconds=source.uniform(5, 30),
        )
