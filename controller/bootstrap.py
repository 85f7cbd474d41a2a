"""The only place that wires: which adapter stands behind which port.

Heavy clients are imported here, when somebody first uses an adapter, so that neither a command which only
reads the log nor one which only appends to it waits for them.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from events.reserve import Reserve
from events.sqlite import SqliteEventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from controller.adapters import Adapters
    from controller.building import BuildWorkshop
    from controller.catalogue import EngineCatalogue
    from controller.context import Context
    from controller.forking import Fork
    from controller.home import Home
    from controller.record import Record
    from controller.registry.client import RegistryClient
    from events.actors import ActorDirectory
    from events.blobs import BlobStore
    from events.envelope import Actor
    from events.kernel.clock import Clock
    from events.log import EventLog
    from gitops.config.controller import ControllerFile
    from projections.engine.docker import DockerEngine
    from projections.engine.port import ImageBuilder
    from projections.kept import KeptContainers

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
def open_names(home: Home) -> Generator[Callable[[str], str | None]]:
    """Who is behind an actor's id, for reading: None for one that is unknown or erased; nothing is made."""
    if not home.actors_db.is_file():
        yield _nobody
        return
    from events.actors import SqliteActorDirectory

    actors = SqliteActorDirectory(home.actors_db)
    try:
        yield actors.name_of
    finally:
        actors.close()


def _nobody(_actor_id: str) -> None:
    """The name behind any id where no names are kept."""


def find_actors(home: Home, name: str) -> tuple[str, ...]:
    """The ids behind which somebody of this name stands; none where no names are kept; nothing is made."""
    if not home.actors_db.is_file():
        return ()
    from events.actors import SqliteActorDirectory

    actors = SqliteActorDirectory(home.actors_db)
    try:
        return actors.ids_of(name)
    finally:
        actors.close()


@contextmanager
def open_people(home: Home) -> Generator[ActorDirectory]:
    """The names behind pseudonyms, without a log; made when they are missing."""
    from events.actors import SqliteActorDirectory

    home.create()
    actors = SqliteActorDirectory(home.actors_db)
    try:
        yield actors
    finally:
        actors.close()


def fork_of(home: Home, *, actor: Actor, reason: str) -> Fork:
    """A fork of a home's log, by the machine's clock."""
    from controller.forking import Fork
    from events.kernel.clock import SystemClock
    from events.kernel.ids import SystemIds

    clock = SystemClock()
    return Fork(home=home, actor=actor, reason=reason, clock=clock, ids=SystemIds(clock))


@contextmanager
def open_record(home: Home) -> Generator[Record]:
    """The log of a home for what concerns the log alone: seals, keys, forks; made when it is missing."""
    from controller.record import Record
    from events.kernel.clock import SystemClock
    from events.kernel.ids import SystemIds

    with open_people(home) as actors:
        clock = SystemClock()
        log = SqliteEventLog(home.events_db)
        try:
            yield Record(home=home, log=log, actors=actors, clock=clock, ids=SystemIds(clock))
        finally:
            log.close()


@contextmanager
def open_catalogue(home: Home, *, settings: ControllerFile | None = None) -> Generator[EngineCatalogue]:
    """The image catalogue of this machine's engine, without a log: it changes nothing."""
    from controller.catalogue import EngineCatalogue
    from events.kernel.clock import SystemClock
    from projections.engine.docker import DockerEngine

    engine = DockerEngine(None, home.run)
    try:
        yield EngineCatalogue(engine, _registry(settings or _settings(home), SystemClock()))
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
def open_context(
    home: Home, *, progress: Callable[[str], None], settings: ControllerFile | None = None
) -> Generator[Context]:
    """Everything wired for one home, which is made when it is missing.

    `settings` None: the defaults, for whoever neither deploys nor asks a registry. The home's own are not
    read for them, because a mistake in a file must not keep a person from a hold or a lock on a bad day.
    """
    from controller.adapters import LateAdapters
    from controller.context import Context
    from controller.recent import check_recent
    from events.actors import SqliteActorDirectory
    from events.blobs import FileBlobStore
    from events.kernel.clock import SystemClock
    from events.kernel.ids import SystemIds

    home.create()
    clock = SystemClock()
    reserve = Reserve(home.reserve)
    reserve.make()
    log = SqliteEventLog(home.events_db, reserve=reserve)
    check_recent(home, log)
    actors = SqliteActorDirectory(home.actors_db, reserve=reserve)
    blobs = FileBlobStore(home.blobs)

    def wire() -> Adapters:
        return _adapters(home, log=log, blobs=blobs, clock=clock, progress=progress, settings=settings)

    adapters = LateAdapters(wire)
    try:
        yield Context(
            home=home,
            log=log,
            blobs=blobs,
            actors=actors,
            clock=clock,
            ids=SystemIds(clock),
            adapters=adapters,
            progress=progress,
            policy={} if settings is None else settings.policy,
        )
    finally:
        adapters.close()
        actors.close()
        log.close()


def _adapters(
    home: Home,
    *,
    log: EventLog,
    blobs: BlobStore,
    clock: Clock,
    progress: Callable[[str], None],
    settings: ControllerFile | None,
) -> Adapters:
    """What reaches this machine's engine and registries; without `settings` nothing is built."""
    from controller.adapters import Adapters
    from controller.catalogue import EngineCatalogue
    from projections.converge.converger import Converger
    from projections.engine.docker import DockerEngine
    from projections.observed import ObservedStore

    engine = DockerEngine(None, home.run)
    observed = ObservedStore(home.observed_db)
    return Adapters(
        catalogue=EngineCatalogue(engine, _registry(settings, clock)),
        converger=Converger(
            binding_key=home.binding_key(),
            log=log,
            blobs=blobs,
            engines={LOCAL_HOST: engine},
            stocks={LOCAL_HOST: engine.stock},
            carriers={LOCAL_HOST: engine.stock},
            roots={LOCAL_HOST: home.local.absolute()},
            observed=observed,
            clock=clock,
            progress=progress,
            kept=_kept(home, settings),
        ),
        observed=observed,
        watches={LOCAL_HOST: engine},
        workshop=None if settings is None else _workshop(home, settings, engine.images),
        close=engine.close,
    )


def _kept(home: Home, settings: ControllerFile | None) -> KeptContainers:
    """Where containers that failed a Release are kept, and how many."""
    from datetime import timedelta

    from projections.kept import KeptContainers

    if settings is None:
        return KeptContainers(home.kept)
    return KeptContainers(home.kept, count=settings.kept.count, age=timedelta(seconds=settings.kept.age))


def _workshop(home: Home, settings: ControllerFile, builder: ImageBuilder) -> BuildWorkshop:
    """Where images are built from commits, if the operator lets that be."""
    from controller.building import BuildWorkshop

    return BuildWorkshop(
        builder=builder,
        allowed=settings.builds.allowed,
        seconds=settings.builds.deadline,
        scratch=home.run,
    )


def _settings(home: Home) -> ControllerFile:
    """The operator's settings in the home; the defaults when there are none."""
    from gitops.config.controller import load_controller_file

    return load_controller_file(home.controller_file, required=False)


def _registry(settings: ControllerFile | None, clock: Clock) -> RegistryClient:
    """Whoever asks registries, with the credentials of the person or service that we run as."""
    from controller.registry.client import RegistryClient
    from controller.registry.credentials import DockerCredentials

    registries = {} if settings is None else settings.registries
    plain = {host.lower(): one.plain_http for host, one in registries.items()}
    return RegistryClient(
        credentials=DockerCredentials(environment=dict(os.environ), clock=clock),
        clock=clock,
        plain_http=plain,
    )
