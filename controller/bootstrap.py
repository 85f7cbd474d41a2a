"""The only place that wires: which adapter stands behind which port.

Heavy clients are imported here, when a context is opened, so that a command which only reads the log starts
without them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from events.reserve import Reserve
from events.sqlite import SqliteEventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from controller.catalogue import EngineCatalogue
    from controller.context import Context
    from controller.home import Home
    from events.log import EventLog
    from projections.engine.docker import DockerEngine

LOCAL_HOST = "local"


@contextmanager
def open_log(home: Home) -> Generator[EventLog | None]:
    """The log of a home for reading; None when nothing was ever recorded there, and nothing is made."""
    if not home.events_db.is_file():
        yield None
        return
    log = SqliteEventLog(home.events_db)
    try:
        yield log
    finally:
        log.close()


@contextmanager
def open_catalogue(home: Home) -> Generator[EngineCatalogue]:
    """The image catalogue of this machine's engine, without a log: it changes nothing."""
    from controller.catalogue import EngineCatalogue
    from projections.engine.docker import DockerEngine

    engine = DockerEngine(None, home.run)
    try:
        yield EngineCatalogue(engine)
    finally:
        engine.close()


@contextmanager
def open_engine(home: Home) -> Generator[DockerEngine]:
    """This machine's engine, without a log: for looking at it."""
    from projections.engine.docker import DockerEngine

    engine = DockerEngine(None, home.run)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def open_context(home: Home, *, progress: Callable[[str], None]) -> Generator[Context]:
    """Everything wired for one home, which is made when it is missing."""
    from controller.catalogue import EngineCatalogue
    from controller.context import Context
    from events.actors import SqliteActorDirectory
    from events.blobs import FileBlobStore
    from events.kernel.clock import SystemClock
    from events.kernel.ids import SystemIds
    from projections.converge.release import Converger
    from projections.engine.docker import DockerEngine
    from projections.observed import ObservedStore

    home.create()
    clock = SystemClock()
    reserve = Reserve(home.reserve)
    reserve.make()
    log = SqliteEventLog(home.events_db, reserve=reserve)
    actors = SqliteActorDirectory(home.actors_db, reserve=reserve)
    observed = ObservedStore(home.observed_db)
    blobs = FileBlobStore(home.blobs)
    engine = DockerEngine(None, home.run)
    converger = Converger(
        log=log,
        blobs=blobs,
        engines={LOCAL_HOST: engine},
        roots={LOCAL_HOST: home.local},
        observed=observed,
        clock=clock,
        progress=progress,
    )
    try:
        yield Context(
            home=home,
            log=log,
            blobs=blobs,
            actors=actors,
            clock=clock,
            ids=SystemIds(clock),
            catalogue=EngineCatalogue(engine),
            converger=converger,
            observed=observed,
            progress=progress,
            watches={LOCAL_HOST: engine},
        )
    finally:
        engine.close()
        actors.close()
        log.close()
