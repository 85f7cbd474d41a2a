"""A change of ten services, against the same change by hand."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator

from tests.benchmarks.figures import Figure, median, seconds
from tests.benchmarks.stage import Stage
from tests.support.cleanup import EngineProject
from tests.support.daemons import running_daemon
from tests.support.images import PORT

SERVICES = 10
TARGET = 1.25
LONGEST_SECONDS = 300.0
_SERVICE = """  web{number}:
    image: {image}
    stop_grace_period: 1s
    healthcheck:
      test: ["CMD", "/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:{inner}/"]
      interval: 2s
      timeout: 1s
      retries: 5
"""


def compose(image: str) -> str:
    """Ten services that wait for nobody, each with a health check."""
    services = (_SERVICE.format(number=number, image=image, inner=PORT) for number in range(SERVICES))
    return "services:\n" + "".join(services)


def measure(stage: Stage) -> list[Figure]:
    """A push that a running controller deploys, to its end, and `up -d --wait`; both change all images.

    What was made by hand is paused during ours: then twenty containers have a health check on each side, old
    and new ones here, those of both sides there.
    """
    pairs = stage.count(full=9, quick=2)
    ours: list[float] = []
    by_hand: list[float] = []
    with stage.place("ten") as place:
        place.commit(compose(stage.images.web("v0")))
        place.compose_up(compose(stage.images.web("v0")), "--wait")
        with running_daemon(place.cli, "--repo", place.repository.origin) as daemon:
            daemon.says("completed after", seconds=LONGEST_SECONDS)
            for number in range(1, pairs + 1):
                said = daemon.said.count("completed after")
                changed = compose(stage.images.web(f"v{number}"))
                place.commit(changed, push=False)
                with _paused(place.by_hand):
                    began = time.perf_counter()
                    place.repository.push()
                    daemon.says("completed after", times=said + 1, seconds=LONGEST_SECONDS)
                    ours.append(time.perf_counter() - began)
                by_hand.append(place.compose_up(changed, "--wait"))
                stage.tell(f"ten {number}: {seconds(ours[-1])}, by hand {seconds(by_hand[-1])}")
            assert daemon.end() == 0
    ratios = [one / other for one, other in zip(ours, by_hand, strict=True)]
    return [
        Figure(
            what=f"Push of a change of {SERVICES} services, completed, against `up -d --wait` by hand",
            value=median(ratios),
            target=TARGET,
            unit=" x",
            detail=f"{pairs} pairs; {seconds(median(ours))} against {seconds(median(by_hand))}, start-first",
        )
    ]


@contextlib.contextmanager
def _paused(project: EngineProject) -> Generator[None]:
    """Nothing of a side does anything during the block."""
    containers = project.containers()
    for one in containers:
        one.pause()
    try:
        yield
    finally:
        for one in containers:
            one.unpause()
