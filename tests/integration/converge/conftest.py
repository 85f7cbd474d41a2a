"""One environment on the machine's own engine, gone after the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from events import labels
from events.blobs import MemoryBlobStore
from events.catalog import Event, decode
from events.catalog.service import JobCompleted
from events.envelope import CONTROLLER
from events.kernel.canonical import digest_of
from events.kernel.clock import SystemClock
from events.kernel.ids import SystemIds
from events.manifest import FileTree, Gate, HostManifest, ImagePin, Job, Manifest, Service, WaitCondition
from events.memory import MemoryEventLog
from events.recorder import Recorder
from events.streams import StreamName, environment_stream
from projections.converge.converger import Converger
from projections.converge.work import ReleaseWork, Verdict
from projections.engine.docker import DockerEngine
from projections.kept import KeptContainers
from projections.observed import ObservedStore
from tests.support.cleanup import EngineProject
from tests.support.images import TestImages
from tests.support.processes import wait_until

GATE = Gate(settle_seconds=0.4, deadline_seconds=5.0)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A service as a test words it; `image` is the reference of a test image."""

    image: str
    job: Job | None = None
    waits_for: Mapping[str, WaitCondition] = field(default_factory=dict[str, WaitCondition])
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])
    gate: Gate = GATE


@dataclass
class Stage:
    """Everything a converger is given, wired as the controller does it."""

    project: EngineProject
    images: TestImages
    root: Path
    clock: SystemClock = field(default_factory=SystemClock)
    log: MemoryEventLog = field(default_factory=MemoryEventLog)
    blobs: MemoryBlobStore = field(default_factory=MemoryBlobStore)
    told: list[str] = field(default_factory=list[str])
    meanwhile: Callable[[str], None] = field(default=lambda _line: None)
    """Hears each line that is told while work goes on; what it does then a person does in the middle."""

    def __post_init__(self) -> None:
        self.ids = SystemIds(self.clock)
        self.observed = ObservedStore(self.root / "observed.db")
        self.kept = KeptContainers(self.root / "kept")

    def _tell(self, line: str) -> None:
        self.told.append(line)
        self.meanwhile(line)

    @property
    def stream(self) -> StreamName:
        return environment_stream(self.project.name, "prod")

    @property
    def compose_project(self) -> str:
        return f"{self.project.name}-prod"

    def manifest(
        self,
        specs: Mapping[str, Spec],
        *,
        volumes: Mapping[str, Any] | None = None,
        networks: Mapping[str, Any] | None = None,
        trees: tuple[FileTree, ...] = (),
    ) -> Manifest:
        services: dict[str, Service] = {}
        definitions: dict[str, Any] = {}
        for name, spec in specs.items():
            pin = ImagePin(ref=spec.image, pin=self.image_id(spec.image), pin_kind="image-id")
            definition: dict[str, Any] = {"image": pin.pinned_text, "stop_grace_period": "1s", **spec.more}
            service_hash = digest_of([definition, volumes, networks]).removeprefix("sha256:")
            definition["labels"] = {
                labels.PROJECT: self.project.name,
                labels.ENVIRONMENT: "prod",
                labels.SERVICE: name,
                labels.SERVICE_HASH: service_hash,
            }
            if spec.waits_for:
                definition["depends_on"] = {
                    needed: {"condition": condition, "required": True}
                    for needed, condition in spec.waits_for.items()
                }
            definitions[name] = definition
            services[name] = Service(
                hash=service_hash,
                role="app",
                image=pin,
                job=spec.job,
                waits_for=dict(spec.waits_for),
                gate=spec.gate,
            )
        document = {"services": definitions, "volumes": volumes or {}, "networks": networks or {}}
        return Manifest(
            project=self.project.name,
            environment="prod",
            compose_project=self.compose_project,
            hosts={
                "local": HostManifest(
                    compose=document, services=services, files={tree.digest: tree for tree in trees}
                )
            },
        )

    def image_id(self, ref: str) -> str:
        try:
            return self.images.image_id(ref)
        except KeyError:
            return digest_of(["no such image", ref])

    def _run(self, work: ReleaseWork | None, heal: Manifest | None = None) -> Verdict | bool:
        engine = DockerEngine(None, self.root / "run")
        recorder = Recorder(log=self.log, ids=self.ids, clock=self.clock, actor=CONTROLLER)
        converger = Converger(
            log=self.log,
            blobs=self.blobs,
            engines={"local": engine},
            roots={"local": self.root / "local"},
            observed=self.observed,
            clock=self.clock,
            progress=self._tell,
            kept=self.kept,
        )

        async def run() -> Verdict | bool:
            if work is not None:
                return await converger.run_release(work, recorder=recorder)
            assert heal is not None
            return await converger.heal(heal, release="rel-1", recorder=recorder)

        try:
            return asyncio.run(run())
        finally:
            engine.close()

    def deploy(self, manifest: Manifest, previous: Manifest | None = None, **more: object) -> Verdict:
        ends = [event for event in self.events(self.stream) if isinstance(event, JobCompleted)]
        values: dict[str, Any] = {
            "release": self.ids.release_id(),
            "kind": "deploy",
            "succeeded_jobs": frozenset((end.host, end.service, end.service_hash) for end in ends),
            **more,
        }
        verdict = self._run(ReleaseWork(manifest=manifest, previous=previous, stream=self.stream, **values))
        assert isinstance(verdict, Verdict)
        return verdict

    def heal(self, manifest: Manifest) -> bool:
        return bool(self._run(None, manifest))

    def events(self, stream: str) -> list[Event]:
        return [decode(one) for one in self.log.read() if one.stream == stream]

    def types(self) -> list[str]:
        return [one.type for one in self.log.read(stream=self.stream)]


@pytest.fixture
def stage(engine_project: EngineProject, images: TestImages, tmp_path: Path) -> Generator[Stage]:
    yield from one_stage(engine_project, images, tmp_path)


def one_stage(project: EngineProject, images: TestImages, root: Path) -> Generator[Stage]:
    """A stage whose images lose their further tags at the end."""
    yield Stage(project=project, images=images, root=root)
    for ref in kept_tags(project):
        project.client.images.remove(ref)


def kept_tags(project: EngineProject) -> list[str]:
    prefix = f"stagecraft.local/{project.name}/"
    return [tag for image in project.client.images.list() for tag in image.tags if tag.startswith(prefix)]


def says(port: int) -> str:
    """What answers on a port, as soon as something does."""
    answers: list[str] = []

    def ask() -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:  # a fixed scheme
                answers.append(answer.read().decode().strip())
        except (HTTPException, OSError):
            return False
        return True

    wait_until(f"an answer on port {port}", ask, seconds=10)
    return answers[-1]
