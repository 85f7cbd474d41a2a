"""From a push until the new version answers, against the same change by hand."""

from __future__ import annotations

import time

from tests.benchmarks.figures import Figure, median, seconds
from tests.benchmarks.stage import Stage, until_answer
from tests.support.daemons import running_daemon
from tests.support.images import PORT
from tests.support.processes import free_port

TARGET = 1.25

COMPOSE = """services:
  web:
    image: {image}
    stop_grace_period: 1s
    ports:
      - "127.0.0.1:{port}:{inner}"
    healthcheck:
      test: ["CMD", "/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:{inner}/"]
      interval: 1s
      timeout: 1s
      retries: 5
"""


def measure(stage: Stage) -> list[Figure]:
    """The daemon watches a bare repository on this machine; both sides change the image of one service.

    Each push has an image that was never deployed, so nothing is known of it and all of it is rendered.
    """
    pairs = stage.count(full=15, quick=2)
    ours: list[float] = []
    by_hand: list[float] = []
    completed: list[float] = []
    with stage.place("push") as place:
        port, hand_port = free_port(), free_port()

        def compose(number: int, where: int) -> str:
            return COMPOSE.format(image=stage.images.web(f"v{number}"), port=where, inner=PORT)

        place.commit(compose(0, port))
        place.compose_up(compose(0, hand_port), "--wait")
        with running_daemon(place.cli, "--repo", place.repository.origin) as daemon:
            daemon.says("completed after", seconds=60)
            for number in range(1, pairs + 1):
                said = daemon.said.count("completed after")
                place.commit(compose(number, port), push=False)
                began = time.perf_counter()
                place.repository.push()
                answered = until_answer(port, f"web v{number}")
                daemon.says("completed after", times=said + 1, seconds=60)
                completed.append(time.perf_counter() - began)
                ours.append(answered - began)
                by_hand.append(place.compose_up(compose(number, hand_port), "--wait"))
                stage.tell(f"push {number}: {seconds(ours[-1])}, by hand {seconds(by_hand[-1])}")
            assert daemon.end() == 0
    ratios = [one / other for one, other in zip(ours, by_hand, strict=True)]
    return [
        Figure(
            what="Push until the new version answers, against `docker compose up -d --wait` by hand",
            value=median(ratios),
            target=TARGET,
            unit=" x",
            detail=f"{pairs} pairs; {seconds(median(ours))} against {seconds(median(by_hand))}; "
            f"the Release is completed after {seconds(median(completed))}",
        )
    ]
