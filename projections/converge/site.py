"""What a converger works with and where: given from outside, the same for releases, healing and looking.

`Equipment` is one controller's, `Site` one environment on one host. Both hold references only; whoever
wires them (the controller's bootstrap) owns what is behind.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from events.blobs import BlobStore
from events.kernel.clock import Clock
from events.kernel.errors import StagecraftError, UserError, Where, error_code
from events.log import EventLog
from events.manifest import Manifest
from events.streams import StreamName, environment_stream
from events.tokens import Tenure
from projections.converge.adopted import Adopted, adopted_by_log, dressed
from projections.converge.births import Births
from projections.converge.fence import Fence, FencedEngine
from projections.converge.harmless import Harmless
from projections.converge.traffic_record import Asking
from projections.edge.port import Edges, Place
from projections.engine.image_ports import ImageCarrier
from projections.engine.port import Container, Engine
from projections.engine.ports import HeldByProcess, held_here, held_in
from projections.engine.stock_port import Stock
from projections.engine.sweep import Owner
from projections.kept import KeptContainers
from projections.observed import ObservedStore
from projections.transport.local import LocalTransport
from projections.transport.port import HostFiles, Transport

HOST_NOT_SUPPORTED = error_code(
    "host-not-supported", "A Manifest names a host that this controller has no engine for."
)


_PHASE_WIDTH = len("finalize")

Progress = Callable[[str], None]  # one line for people who watch; nothing depends on it


def no_progress(line: str) -> None:
    """Nobody watches."""
    del line


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """Everything outside that a converger touches."""

    log: EventLog
    blobs: BlobStore
    clock: Clock
    engines: Mapping[str, Engine]  # by host
    roots: Mapping[str, PurePath]  # by host: the folder there that holds `apps/`, absolute
    observed: ObservedStore
    progress: Progress = no_progress
    binding_key: bytes = b""  # of this home, 32 bytes; empty where no service takes an env file of its host
    transports: Mapping[str, Transport] = field(default_factory=dict[str, Transport])
    """By host; one that is not listed is this machine."""
    tenure: Tenure | None = None  # of the environment's lock; None: only for looking
    births: Births = field(default_factory=Births)
    harmless: Harmless = field(default_factory=Harmless)  # dry runs that need not be made again
    stocks: Mapping[str, Stock] = field(default_factory=dict[str, Stock])  # by host; for `destroy` alone
    kept: KeptContainers | None = None  # what failed containers left; None: nothing is kept
    carriers: Mapping[str, ImageCarrier] = field(default_factory=dict[str, ImageCarrier])
    """By host: what brings an image of this machine's engine to one that has no registry to get it from."""
    edges: Edges | None = None  # what leads to gateways; None: nobody speaks with any
    addresses: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of hosts, as other hosts reach them; one that is not listed is not reached from another."""
    asking: Callable[[], Asking] | None = None  # who asks while traffic moves; None: nobody
    offered: frozenset[int] = frozenset()
    """Ports of registries on this machine's loopback that hosts elsewhere are to reach at the same name."""

    def site(self, manifest: Manifest, host: str) -> Site:
        """The environment of a Manifest on a host. Raises UserError `host-not-supported`."""
        if host not in self.engines or host not in self.roots:
            raise UserError(
                HOST_NOT_SUPPORTED,
                f"this controller reaches no host named {host}",
                where=Where(environment=f"{manifest.project}/{manifest.environment}", host=host),
                next=f"say where it is: network.static.hosts.{host}.address in controller.yml, or in "
                "stagecraft.yml where repositories[].hosts of controller.yml lets the project name it",
            )
        owner = Owner(project=manifest.project, environment=manifest.environment, log=self.log.lineage)
        site = Site(
            host=host,
            engine=self.engines[host],
            root=self.roots[host],
            transport=self.transports.get(host) or LocalTransport(host),
            owner=owner,
            compose_project=manifest.compose_project,
            equipment=self,
            adopted=adopted_by_log(self.log, owner, host),
        )
        return site if self.tenure is None else site.fenced(self.tenure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One environment on one host."""

    host: str
    engine: Engine
    root: PurePath
    transport: Transport
    owner: Owner
    compose_project: str
    equipment: Equipment
    fence: Fence | None = None  # what every change passes first
    adopted: Adopted = field(default_factory=dict[str, Mapping[str, str]])

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        """As `Engine.containers`, with adopted ones as ours. Whoever asks whose one is asks here."""
        return dressed(await self.engine.containers(compose_project), self.adopted)

    def fenced(self, tenure: Tenure) -> Site:
        """The same behind the environment's fence."""
        fence = Fence(
            path=self.folder / "fence",
            files=self.files,
            host=self.host,
            owner=self.owner,
            engine=self.engine,
            tenure=tenure,
            tell=self.tell,
        )
        return replace(self, engine=FencedEngine(engine=self.engine, fence=fence), fence=fence)

    async def pass_fence(self) -> None:
        """To be awaited before something is written on the host; raises what `Fence.check` raises."""
        if self.fence is not None:
            await self.fence.check()

    @property
    def files(self) -> HostFiles:
        """The files of its host."""
        return self.transport.files

    @property
    def folder(self) -> PurePath:
        """The environment's folder on its host, absolute."""
        return self.root / "apps" / self.owner.project / self.owner.environment

    async def held_ports(self) -> HeldByProcess:
        """Which ports processes of the host hold."""
        return held_here if self.transport.here else held_in(await self.transport.bound_ports())

    @property
    def place(self) -> Place:
        """The same as gateways need it."""
        return Place(
            project=self.owner.project,
            environment=self.owner.environment,
            host=self.host,
            folder=self.folder,
            transport=self.transport,
            engine=self.engine,
            containers=lambda: self.containers(self.compose_project),
            clock=self.clock,
        )

    @property
    def clock(self) -> Clock:
        """The clock of all waits."""
        return self.equipment.clock

    @property
    def environment(self) -> str:
        """`<project>/<name>`."""
        return f"{self.owner.project}/{self.owner.environment}"

    @property
    def stream(self) -> StreamName:
        """The environment's stream."""
        return environment_stream(self.owner.project, self.owner.environment)

    def tell(self, text: str, *, service: str | None = None) -> None:
        """Report a step to whoever watches."""
        place = f"{self.environment} {self.host}" + (f" {service}" if service else "")
        self.equipment.progress(f"{place}: {text}")

    def tell_phase(self, name: str, *, seconds: float, detail: str) -> None:
        """Report the end of a phase on this host: one line, in columns."""
        line = f"{self.environment}: {name.ljust(_PHASE_WIDTH)}  {self.host}  {seconds:.1f} s  {detail}"
        self.equipment.progress(line)

    @contextmanager
    def errors_here(self, service: str | None = None) -> Generator[None]:
        """Errors that name no host are about this one."""
        try:
            yield
        except StagecraftError as error:
            place = error.where
            error.where = replace(
                place,
                environment=place.environment or self.environment,
                host=place.host or self.host,
                service=place.service or service,
            )
            raise
