"""The only place that wires: which adapter stands behind which port.

Heavy clients are imported here, when somebody first uses an adapter, so that neither a command which only
reads the log nor one which only appends to it waits for them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from events.reserve import Reserve
from events.sqlite import SqliteEventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from controller.adapters import Adapters
    from controller.catalogue import EngineCatalogue
    from controller.context import Context
    from controller.fleet import Fleet
    from controller.forking import Fork
    from controller.home import Home
    from controller.record import Record
    from events.actors import ActorDirectory
    from events.blobs import BlobStore
    from events.envelope import Actor
    from events.kernel.clock import Clock
    from events.log import EventLog
    from gitops.config.controller import ControllerFile
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
    from controller.bootstrap_settings import registry_client
    from controller.catalogue import EngineCatalogue
    from events.kernel.clock import SystemClock
    from projections.engine.docker import DockerEngine

    engine = DockerEngine(None, home.run)
    try:
        yield EngineCatalogue(engine, registry_client(settings or _settings(home), SystemClock()))
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
def open_fleet(home: Home, *, say: Callable[[str], None]) -> Generator[Fleet]:
    """The hosts of a home for looking at them and into their containers; nothing but first keys is recorded.

    Where nothing was recorded yet nothing is made, unless the operator lists hosts: their keys may have to be
    recorded.
    """
    from controller.bootstrap_hosts import wire_hosts
    from events.kernel.clock import SystemClock
    from events.memory import MemoryEventLog
    from projections.engine.docker import DockerEngine

    log: EventLog
    if home.events_db.is_file():
        log = SqliteEventLog(home.events_db)
    elif home.controller_file.is_file():
        home.create()
        log = SqliteEventLog(home.events_db)
    else:
        log = MemoryEventLog()
    engine = DockerEngine(None, home.run)
    fleet, _, close = wire_hosts(
        home, engine, file=lambda: _settings(home), log=log, clock=SystemClock(), say=say
    )
    try:
        yield fleet
    finally:
        close()
        log.close()


@contextmanager
def open_engines(home: Home, *, say: Callable[[str], None]) -> Generator[Mapping[str, DockerEngine]]:
    """The engines of all hosts by the host's name; see `open_fleet`."""
    from controller.fleet import ByHost, Reach
    from projections.engine.docker import DockerEngine

    def engine(reach: Reach) -> DockerEngine:
        if not isinstance(reach.engine, DockerEngine):
            raise TypeError(reach.engine)
        return reach.engine

    with open_fleet(home, say=say) as fleet:
        yield ByHost(fleet, engine)


@contextmanager
def open_context(
    home: Home, *, progress: Callable[[str], None], settings: ControllerFile | None = None
) -> Generator[Context]:
    """Everything wired for one home, which is made when it is missing.

    `settings` None: the defaults, for whoever neither deploys nor asks a registry. The home's own are not
    read for them, because a mistake in a file must not keep a person from a hold or a lock on a bad day; only
    where a host is elsewhere is read there, when it is asked for.
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
    """What reaches hosts, their engines and registries; without `settings` nothing is built."""
    from controller.adapters import Adapters
    from controller.bootstrap_hosts import wire_hosts
    from controller.bootstrap_settings import kept_containers, offered_ports, registry_client, workshop
    from controller.catalogue import EngineCatalogue
    from projections.converge.converger import Converger
    from projections.edge.gateways import GatewayEdges, prober
    from projections.engine.docker import DockerEngine
    from projections.observed import ObservedStore

    engine = DockerEngine(None, home.run)
    observed = ObservedStore(home.observed_db)
    fleet, known_hosts, close = wire_hosts(
        home,
        engine,
        file=lambda: _settings(home) if settings is None else settings,
        log=log,
        clock=clock,
        say=progress,
    )
    return Adapters(
        catalogue=EngineCatalogue(engine, registry_client(settings, clock)),
        converger=Converger(
            binding_key=home.binding_key(),
            log=log,
            blobs=blobs,
            engines=fleet.engines,
            stocks=fleet.stocks,
            carriers=fleet.carriers,
            roots=fleet.roots,
            transports=fleet.transports,
            observed=observed,
            clock=clock,
            progress=progress,
            kept=kept_containers(home, settings),
            offered=offered_ports(settings),
            edges=GatewayEdges(home.binding_key()),
            addresses=fleet.addresses,
            asking=prober,
        ),
        observed=observed,
        watches=fleet.watches,
        workshop=None if settings is None else workshop(home, settings, engine.images),
        fleet=fleet,
        known_hosts=known_hosts,
        listed_hosts=frozenset() if settings is None else frozenset(settings.network.static.hosts),
        close=close,
    )


def _settings(home: Home) -> ControllerFile:
    """The operator's settings in the home; the defaults when there are none."""
    from gitops.config.controller import load_controller_file

    return load_controller_file(home.controller_file, required=False)
