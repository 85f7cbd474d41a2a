"""A controller on simulated engines and gateways, whose Manifests are made by hand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from controller.adapters import Adapters, LateAdapters
from controller.catalogue import EngineCatalogue
from controller.context import Context
from controller.decide.state import EnvironmentState
from controller.draining import Told, Wanted, drain, undrain
from controller.home import Home
from controller.look import Outcome, keep
from controller.releasing import finish
from controller.targets import Target
from controller.tenures import tenure
from controller.watch_window import watched
from events.actors import MemoryActorDirectory
from events.catalog import Event
from events.catalog.environment import DeployRequested, ManifestRendered
from events.manifest import Manifest
from events.routes import Traffic
from projections.converge.work import Verdict
from tests.unit.projections.converge.hosts_scene import HostsScene
from tests.unit.projections.converge.scene import ENVIRONMENT, PERSON, PROJECT, STREAM
from tests.unit.projections.converge.traffic_scene import GATE, GATE_SPEC, PUBLISHED, routed_over, web

TARGET = Target(project=PROJECT, name=ENVIRONMENT)


def shop(version: str = "1", *, watch_seconds: float = 0.0, drain_seconds: float = 4.0) -> Manifest:
    """`web` on two hosts, with a gateway on a third."""
    specs = {"web": web(version, more=PUBLISHED)}
    traffic = {"web": Traffic(watch_seconds=watch_seconds, drain_seconds=drain_seconds)}
    return routed_over({"app1": specs, "app2": specs, "edge": {GATE: GATE_SPEC}}, traffic=traffic)


@dataclass
class TrafficStage:
    """Deploys Manifests, drains and watches, with the controller's own code."""

    scene: HostsScene
    context: Context = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new process: nothing is left but what is on disk."""
        scene = self.scene
        home = Home(Path(scene.root) / "home")
        home.create()
        self.context = Context(
            home=home,
            log=scene.log,
            blobs=scene.blobs,
            actors=MemoryActorDirectory(),
            clock=scene.clock,
            ids=scene.ids,
            adapters=LateAdapters(
                lambda: Adapters(
                    catalogue=EngineCatalogue(scene.engine),
                    converger=scene.converger,
                    observed=scene.observed,
                )
            ),
            progress=scene.told.append,
        )

    @property
    def state(self) -> EnvironmentState:
        return self.context.environment(PROJECT, ENVIRONMENT)

    def say(self, *events: Event) -> None:
        """Append what somebody decided."""
        self.scene.recorder().append(STREAM, *events)

    def request(self, manifest: Manifest) -> str:
        """Ask for a Release of a Manifest, and do no more."""
        self.context.blobs.put(manifest.encode())
        release = self.context.release_id(PROJECT, ENVIRONMENT)
        self.say(
            ManifestRendered(
                digest=manifest.digest,
                revision="c1",
                version="c1",
                render_key=manifest.digest,
                inputs={},
                renderer="r",
                services=manifest.service_hashes(),
                images=manifest.images(),
            ),
            DeployRequested(
                release=release,
                digest=manifest.digest,
                version="c1",
                revision="c1",
                previous=self.state.deployed,
                trigger="person",
            ),
        )
        return release

    def deploy(self, manifest: Manifest) -> Verdict:
        """A Release, to its verdict; nobody watches it yet."""
        release = self.request(manifest)

        async def work() -> Verdict:
            async with tenure(self.context, str(TARGET), purpose="a test") as held:
                return await finish(held, PROJECT, ENVIRONMENT, release=release)

        return asyncio.run(work())

    def watch(self, verdict: Verdict) -> Verdict:
        """As whoever deployed and waits."""
        return asyncio.run(watched(self.context, TARGET, verdict))

    def keep(self) -> Outcome:
        """A look of the daemon without an answer of Git."""
        return asyncio.run(keep(self.context, PROJECT, ENVIRONMENT))

    def drain(self, wanted: Wanted) -> Told:
        return asyncio.run(drain(self.context, TARGET, wanted, actor=PERSON))

    def undrain(self, name: str) -> Told:
        return asyncio.run(undrain(self.context, TARGET, Wanted(name=name), actor=PERSON))

    def serving(self) -> list[str]:
        """The hosts that the gateway passes requests of `web` on to."""
        return sorted(server.host for server in self.scene.routes_at("edge")["web"].servers)

    def containers(self, host: str) -> list[str]:
        """Ids of `web` on a host."""
        return self.scene.engines[host].world.ids("web")
