"""A stage for converger tests: one environment, one simulated engine, one log, one clock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from events import labels
from events.blobs import MemoryBlobStore
from events.catalog import Event, decode
from events.catalog.service import JobCompleted
from events.envelope import Actor, StoredEvent
from events.kernel.canonical import digest_of
from events.log import EventLog
from events.manifest import (
    FileTree,
    Gate,
    HostManifest,
    ImagePin,
    Job,
    Manifest,
    Reload,
    Service,
    WaitCondition,
)
from events.memory import MemoryEventLog
from events.recorder import Recorder
from events.rollout import Strategy
from events.streams import environment_stream, host_stream, release_stream
from projections.converge.conflicts import COMPOSE_PROJECT as COMPOSE_PROJECT_LABEL
from projections.converge.conflicts import COMPOSE_SERVICE
from projections.converge.converger import Converger
from projections.converge.site import Equipment, Site
from projections.converge.work import ReleaseWork, Verdict
from projections.edge.folder import FOLDER
from projections.edge.port import Backends
from projections.edge.simulated import SimulatedEdges
from projections.edge.traefik_files import SUFFIX, read_back
from projections.engine.port import EngineIdentity
from projections.engine.simulated import SimulatedEngine
from projections.engine.simulated_world import IDENTITY
from projections.observed import ObservedStore
from tests.support.time import CountingIds, FakeClock
from tests.support.transports import ElsewhereTransport

PROJECT, ENVIRONMENT, HOST, LINEAGE = "hello", "prod", "local", "lineage-1"
COMPOSE_PROJECT = "hello-prod"
STREAM = environment_stream(PROJECT, ENVIRONMENT)
HOST_STREAM = host_stream(HOST)
PERSON = Actor(kind="cli", id="p-1")
GATE = Gate(settle_seconds=2.0, deadline_seconds=30.0)


IN_PLACE: Mapping[str, Any] = {
    "volumes": [{"type": "volume", "source": "data", "target": "/data"}]
}  # of a definition: it has one writer, so it is replaced stop-first


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A service as a test words it."""

    image: str = "web:1"
    role: str = "app"
    job: Job | None = None
    waits_for: Mapping[str, WaitCondition] = field(default_factory=dict[str, WaitCondition])
    gate: Gate = GATE
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])  # further keys of the definition
    reload: Reload | None = None
    rollout: Strategy | None = None


def image_id(ref: str) -> str:
    return digest_of(["image", ref])


def host_manifest(specs: Mapping[str, Spec], *, trees: Sequence[FileTree] = ()) -> HostManifest:
    definitions: dict[str, Any] = {}
    services: dict[str, Service] = {}
    for name, spec in specs.items():
        pin = ImagePin(ref=spec.image, pin=image_id(spec.image), pin_kind="image-id")
        definition: dict[str, Any] = {"image": pin.pinned_text, **spec.more}
        service_hash = digest_of(definition).removeprefix("sha256:")
        definition["labels"] = {
            labels.PROJECT: PROJECT,
            labels.ENVIRONMENT: ENVIRONMENT,
            labels.SERVICE: name,
            labels.SERVICE_HASH: service_hash,
        }
        definitions[name] = definition
        services[name] = Service(
            hash=service_hash,
            role=spec.role,
            image=pin,
            job=spec.job,
            waits_for=dict(spec.waits_for),
            gate=spec.gate,
            reload=spec.reload,
            rollout=spec.rollout,
        )
    return HostManifest(
        compose={"services": definitions}, services=services, files={tree.digest: tree for tree in trees}
    )


def manifest_of(*, trees: Sequence[FileTree] = (), **specs: Spec) -> Manifest:
    return Manifest(
        project=PROJECT,
        environment=ENVIRONMENT,
        compose_project=COMPOSE_PROJECT,
        hosts={HOST: host_manifest(specs, trees=trees)},
    )


def identity_labels(project: str, environment: str, service: str, **more: str) -> dict[str, str]:
    """Labels of a container of ours; `service_hash` and `log` by keyword."""
    return {
        labels.PROJECT: project,
        labels.ENVIRONMENT: environment,
        labels.SERVICE: service,
        labels.SERVICE_HASH: more.get("service_hash", "h1"),
        labels.LOG: more.get("log", LINEAGE),
        COMPOSE_PROJECT_LABEL: more.get("compose_project", f"{project}-{environment}"),
        COMPOSE_SERVICE: service,
    }


def another_machine() -> EngineIdentity:
    """An identity that no host was bound to."""
    return replace(IDENTITY, engine="engine-2")


@dataclass
class Scene:
    """Everything a converger is given, and short ways to use it."""

    root: Path
    clock: FakeClock = field(default_factory=FakeClock)
    ids: CountingIds = field(default_factory=CountingIds)
    blobs: MemoryBlobStore = field(default_factory=MemoryBlobStore)
    log: EventLog = field(default_factory=lambda: MemoryEventLog(lineage=LINEAGE))
    told: list[str] = field(default_factory=list[str])
    edges: SimulatedEdges = field(default_factory=SimulatedEdges)
    ports_are_here: bool = False  # whether the ports of this machine are the host's
    engine: SimulatedEngine = field(init=False)
    observed: ObservedStore = field(init=False)

    def __post_init__(self) -> None:
        self.engine = SimulatedEngine(clock=self.clock)
        self.observed = ObservedStore(self.root / "observed.db")

    def have(self, *refs: str) -> None:
        """The engine has these images."""
        for ref in refs:
            self.engine.world.images[ref] = image_id(ref)

    @property
    def equipment(self) -> Equipment:
        return Equipment(
            log=self.log,
            blobs=self.blobs,
            clock=self.clock,
            engines={HOST: self.engine},
            stocks={HOST: self.engine.stock},
            roots={HOST: self.root / "local"},
            observed=self.observed,
            progress=self.told.append,
            transports={} if self.ports_are_here else {HOST: ElsewhereTransport(HOST)},
            edges=self.edges,
        )

    @property
    def site(self) -> Site:
        return self.equipment.site(manifest_of(web=Spec()), HOST)

    @property
    def converger(self) -> Converger:
        """A new one each time, as after a restart."""
        return self.converger_with()

    def converger_with(self, **more: Any) -> Converger:  # noqa: ANN401  # further arguments of `Converger`
        """One with the equipment, and with what it is given beside."""
        equipment = self.equipment
        return Converger(
            log=equipment.log,
            blobs=equipment.blobs,
            engines=equipment.engines,
            stocks=equipment.stocks,
            roots=equipment.roots,
            observed=equipment.observed,
            clock=equipment.clock,
            progress=equipment.progress,
            edges=equipment.edges,
            **more,
        )

    def recorder(self) -> Recorder:
        return Recorder(log=self.log, ids=self.ids, clock=self.clock, actor=PERSON)

    def work(self, manifest: Manifest, previous: Manifest | None = None, **more: object) -> ReleaseWork:
        ends = [event for event in self.events(STREAM) if isinstance(event, JobCompleted)]
        values: dict[str, Any] = {
            "release": self.ids.release_id(),
            "kind": "deploy",
            "succeeded_jobs": frozenset((end.host, end.service, end.service_hash) for end in ends),
            **more,
        }
        return ReleaseWork(manifest=manifest, previous=previous, stream=STREAM, **values)

    def run(self, work: ReleaseWork) -> Verdict:
        return asyncio.run(self.converger.run_release(work, recorder=self.recorder()))

    def deploy(self, manifest: Manifest, previous: Manifest | None = None, **more: object) -> Verdict:
        return self.run(self.work(manifest, previous, **more))

    def routes_at(self, host: str = HOST) -> Mapping[str, Backends]:
        """What the gateway of a host was told, by service."""
        root = Path(self.equipment.roots[host])
        found: dict[str, Backends] = {}
        for file in (root / "apps" / PROJECT / ENVIRONMENT / FOLDER).glob(f"*{SUFFIX}"):
            told = read_back(file.read_bytes(), service=file.name.removesuffix(SUFFIX))
            assert told is not None, file
            found[told.service] = told
        return found

    def heal(self, manifest: Manifest, release: str = "rel-1") -> bool:
        return asyncio.run(self.converger.heal(manifest, release=release, recorder=self.recorder()))

    def stored(self, stream: str) -> list[StoredEvent]:
        return [one for one in self.log.read() if one.stream == stream]

    def events(self, stream: str) -> list[Event]:
        return [decode(one) for one in self.stored(stream)]

    def types(self, stream: str) -> list[str]:
        return [one.type for one in self.stored(stream)]

    def of_release(self, release: str) -> list[Event]:
        return self.events(release_stream(release))
