"""All benchmarks, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.benchmarks import (
    commands,
    crowd,
    failing,
    fleet,
    hooks,
    hosts,
    log,
    lookups,
    many,
    memory,
    million,
    noop,
    push,
    render,
    resting,
    ten,
    traffic,
    watching,
)
from tests.benchmarks.figures import Figure
from tests.benchmarks.stage import Stage

Benchmark = Callable[[Stage], list[Figure]]
BENCHMARKS: dict[str, Benchmark] = {
    "push": push.measure,
    "ten": ten.measure,
    "noop": noop.measure,
    "commands": commands.measure,
    "failing": failing.measure,
    "resting": resting.measure,
    "crowd": crowd.measure,
    "render": render.measure,
    "memory": memory.measure,
    "many": many.measure,
    "fleet": fleet.measure,
    "hosts": hosts.measure,
    "traffic": traffic.measure,
    "lookups": lookups.measure,
    "watching": watching.measure,
    "hooks": hooks.measure,
    "million": million.measure,
    "log": log.measure,
}


def run_all(stage: Stage, names: Sequence[str] = tuple(BENCHMARKS)) -> list[Figure]:
    """The figures of the named benchmarks, each told as soon as it is known."""
    figures: list[Figure] = []
    for name in names:
        for figure in BENCHMARKS[name](stage):
            figures.append(figure)
            what, value, target, detail = figure.row()
            stage.tell(f"{what}: {value} ({target}); {detail}")
    return figures
