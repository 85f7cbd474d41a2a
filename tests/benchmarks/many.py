"""A look at a repository with a thousand environments in which nothing is to be done.

Git, the log, the blobs and the locks are the real ones; the engine is simulated, because no machine that
measures runs a thousand containers.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from controller.adapters import Adapters, LateAdapters
from controller.catalogue import EngineCatalogue
from controller.look import look
from controller.repositories import WatchedBranch, watched
from events.blobs import FileBlobStore
from events.sqlite import SqliteEventLog
from projections.converge.converger import Converger
from tests.benchmarks.figures import Figure, median, seconds
from tests.benchmarks.stage import Place, Stage
from tests.support.controllers import SimulatedController

ENVIRONMENTS = 1000
TARGET_SECONDS = 5.0


def measure(stage: Stage) -> list[Figure]:
    """Deploy all once, then look again and again."""
    environments = stage.count(full=ENVIRONMENTS, quick=3)
    rounds = stage.count(full=5, quick=2)
    with stage.place("many") as place:
        return [_figure(stage, place, environments, rounds)]


def _figure(stage: Stage, place: Place, environments: int, rounds: int) -> Figure:
    controller = SimulatedController(repository=place.repository, folder=place.folder / "home")
    home = controller.context.home
    log, blobs = SqliteEventLog(home.events_db), FileBlobStore(home.blobs)
    try:
        converger = Converger(
            log=log,
            blobs=blobs,
            engines={"local": controller.engine},
            roots={"local": home.local},
            observed=controller.context.observed,
            clock=controller.clock,
        )
        adapters = Adapters(
            catalogue=EngineCatalogue(controller.engine),
            converger=converger,
            observed=controller.context.observed,
        )
        context = replace(controller.context, log=log, blobs=blobs, adapters=LateAdapters(lambda: adapters))
        names = "".join(f"  env{number:04}: {{}}\n" for number in range(environments))
        controller.merge(project=f"project: {{name: shop}}\nenvironments:\n{names}", web="app:1")
        repository = watched(home, str(place.repository.origin), cwd=place.folder)

        def one_look() -> float:
            began = time.perf_counter()
            outcomes = asyncio.run(
                look(
                    context,
                    WatchedBranch(watched=repository, branch="main"),
                    config_path="stagecraft.yml",
                )
            )
            took = time.perf_counter() - began
            assert len(outcomes) == environments
            failed = [one for one in outcomes if one.status not in {"completed", "in-sync"}]
            assert failed == []
            return took

        stage.tell(f"{environments} environments deployed in {seconds(one_look())}")
        one_look()
        head = log.head()
        took = [one_look() for _ in range(rounds)]
        assert log.head() == head, "a look without news appended to the log"
    finally:
        log.close()
    return Figure(
        what=f"Look at a repository with {environments} environments and no news",
        value=median(took),
        target=TARGET_SECONDS,
        unit=" s",
        detail=f"{rounds} looks, simulated engine; {seconds(median(took) / environments)} an environment",
    )
