"""A pass over services that are as they should be, against `docker compose up -d` of the same."""

from __future__ import annotations

import asyncio

from controller.bootstrap import open_context
from controller.home import Home
from tests.benchmarks.figures import Figure, median, seconds
from tests.benchmarks.idle import idle_passes
from tests.benchmarks.stage import Stage

TARGET = 0.2
SERVICES = 10


def measure(stage: Stage) -> list[Figure]:
    """The daemon's own pass over one environment: lock, log, a new listing of the engine, the plan."""
    pairs = stage.count(full=20, quick=2)
    image = stage.images.web("v0")
    compose = "services:\n" + "".join(
        f"  web{number}:\n    image: {image}\n    stop_grace_period: 1s\n" for number in range(SERVICES)
    )
    ours: list[float] = []
    by_hand: list[float] = []
    with stage.place("noop") as place:
        place.commit(compose)
        look = ("controller", "run", "--once", "--repo", str(place.repository.origin))
        place.cli.ok(*look, seconds=120)
        place.compose_up(compose)
        home = Home(place.folder / "home")
        with open_context(home, progress=stage.tell) as context, asyncio.Runner() as runner:
            one_pass = idle_passes(context, runner, place.ours.name)
            one_pass()
            place.compose_up(compose)
            head = context.log.head()
            for _ in range(pairs):
                ours.append(one_pass())
                by_hand.append(place.compose_up(compose))
            assert context.log.head() == head, "a pass without news appended to the log"
    ratios = [one / other for one, other in zip(ours, by_hand, strict=True)]
    return [
        Figure(
            what=f"Pass over {SERVICES} unchanged services, against a no-op `docker compose up -d`",
            value=median(ratios),
            target=TARGET,
            unit=" x",
            detail=f"{pairs} pairs, both warm; {seconds(median(ours))} against {seconds(median(by_hand))}",
        )
    ]
