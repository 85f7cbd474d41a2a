"""What `--help` and `status` take above an interpreter that does nothing."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks.figures import Figure, median, seconds
from tests.benchmarks.stage import Place, Stage, timed_process
from tests.support.cli import COMMAND

TARGETS = {"--help": 150.0, "status": 250.0}  # milliseconds
_COMPOSE = "services:\n  web:\n    image: {image}\n    stop_grace_period: 1s\n"


def measure(stage: Stage) -> list[Figure]:
    """`status` reads a home with a deployed environment."""
    rounds = stage.count(full=21, quick=2)
    with stage.place("commands") as place:
        place.commit(_COMPOSE.format(image=stage.images.web("v0")))
        place.cli.ok("controller", "run", "--once", "--repo", place.repository.origin, seconds=120)
        place.cli.ok("status")
        return _figures(place, rounds)


def _figures(place: Place, rounds: int) -> list[Figure]:
    nothing: list[str | Path] = [sys.executable, "-c", "pass"]
    base: list[float] = []
    above: dict[str, list[float]] = {argument: [] for argument in TARGETS}
    for _ in range(rounds):
        base.append(timed_process(nothing))
        for argument, samples in above.items():
            samples.append(timed_process([COMMAND, argument], environment=place.cli.environment) - base[-1])
    return [
        Figure(
            what=f"`stagecraft {argument}` above `python -c pass`",
            value=median(samples) * 1000,
            target=TARGETS[argument],
            unit=" ms",
            detail=f"{rounds} pairs; `python -c pass` takes {seconds(median(base))}",
        )
        for argument, samples in above.items()
    ]
