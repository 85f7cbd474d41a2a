"""A whole controller on a simulated engine: real Git, real Compose rendering, a log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from controller.adapters import Adapters, LateAdapters
from controller.candidates import Subject
from controller.catalogue import EngineCatalogue
from controller.context import Context
from controller.decide.hold import Stop
from controller.decide.rollback import RollbackTarget
from controller.decide.scope import Scope
from controller.decide.state import EnvironmentState
from controller.deploying import deploy
from controller.holding import hold, resume, suspend
from controller.home import Home
from controller.look import Outcome, look
from controller.repositories import BranchRules, WatchedBranch, watched
from controller.rolling_back import rollback
from controller.targets import Target
from events.actors import MemoryActorDirectory
from events.blobs import BlobStore, MemoryBlobStore
from events.envelope import Actor
from events.log import EventLog
from events.memory import MemoryEventLog
from gitops.config.policy import PolicySection
from gitops.source.git import Repository as OpenRepository
from gitops.source.trust import Verification
from projections.converge.converger import Converger
from projections.converge.work import Verdict
from projections.engine.simulated import SimulatedEngine
from projections.observed import ObservedStore
from tests.support.repos import Repository
from tests.support.time import CountingIds, FakeClock
from tests.support.transports import ElsewhereTransport

PROJECT = "project: {name: shop}\nenvironments: {prod: {}}\n"
PROD = Target(project="shop", name="prod")
PERSON = Actor(kind="cli", id="act-1")


@dataclass(slots=True, kw_only=True)
class SimulatedController:
    """Looks at a real repository and deploys to an engine that is simulated."""

    repository: Repository
    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    log: EventLog = field(default_factory=MemoryEventLog)
    blobs: BlobStore = field(default_factory=MemoryBlobStore)
    said: list[str] = field(default_factory=list[str])
    verification: Verification = field(default_factory=Verification)
    hosts: tuple[str, ...] = ("local",)  # that it reaches, each with an engine of its own
    engines: dict[str, SimulatedEngine] = field(init=False)
    engine: SimulatedEngine = field(init=False)  # of the first of them
    context: Context = field(init=False)

    def __post_init__(self) -> None:
        self.engines = {host: SimulatedEngine(clock=self.clock) for host in self.hosts}
        self.engine = self.engines[self.hosts[0]]
        home = Home(self.folder)
        home.create()
        blobs, observed = self.blobs, ObservedStore(home.observed_db)
        converger = Converger(
            log=self.log,
            blobs=blobs,
            engines=self.engines,
            stocks={host: engine.stock for host, engine in self.engines.items()},
            roots={host: home.local if host == "local" else home.root / host for host in self.hosts},
            observed=observed,
            clock=self.clock,
            progress=self.said.append,
            transports={host: ElsewhereTransport(host) for host in self.hosts if host != "local"},
        )
        self.context = Context(
            home=home,
            log=self.log,
            blobs=blobs,
            actors=MemoryActorDirectory(),
            clock=self.clock,
            ids=CountingIds(),
            adapters=LateAdapters(
                lambda: Adapters(
                    catalogue=EngineCatalogue(self.engine), converger=converger, observed=observed
                )
            ),
            progress=self.said.append,
        )

    @property
    def state(self) -> EnvironmentState:
        """The environment `shop/prod`."""
        return self.context.environment("shop", "prod")

    @property
    def types(self) -> list[str]:
        """All event types, oldest first."""
        return [event.type for event in self.log.read()]

    def merge(self, *, project: str = PROJECT, **images: str) -> str:
        """Commit a project whose services have these images; they are in the engine."""
        services = "".join(f"  {name}: {{image: '{image}'}}\n" for name, image in images.items())
        for image in images.values():
            for engine in self.engines.values():
                engine.world.images.setdefault(image, _image_id(image))
        return self.repository.commit({"stagecraft.yml": project, "compose.yaml": f"services:\n{services}"})

    def look(
        self, *environments: str, branch: str = "main", rules: BranchRules | None = None
    ) -> list[Outcome]:
        """One look."""
        return self.look_at(self.place(*environments, branch=branch, rules=rules))

    def look_at(self, place: WatchedBranch) -> list[Outcome]:
        """One look at what is watched there."""
        return asyncio.run(look(self.context, place, config_path="stagecraft.yml"))

    def place(
        self, *environments: str, branch: str = "main", rules: BranchRules | None = None
    ) -> WatchedBranch:
        """A branch of the repository, and what the operator says of it."""
        return WatchedBranch(
            watched=watched(self.context.home, str(self.repository.origin), cwd=self.folder),
            branch=branch,
            environments=environments,
            rules=replace(rules or BranchRules(), verification=self.verification),
        )

    def allow(self, **policy: list[str]) -> None:
        """The operator's policy from now on, by project."""
        entries = {project: PolicySection(allow=words) for project, words in policy.items()}
        self.context = replace(self.context, policy=entries)

    def deploy(
        self,
        *,
        rev: str = "HEAD",
        version: str | None = None,
        allow: Sequence[str] = (),
        confirm_prune: int | None = None,
        scope: Scope | None = None,
    ) -> Verdict:
        """A person deploys a commit."""
        with OpenRepository(self.repository.work) as opened:
            commit = opened.resolve(rev)
            subject = Subject(
                tree=opened.tree(commit.revision),
                revision=commit.revision,
                config_path="stagecraft.yml",
                project="shop",
                environment="prod",
                version=version,
            )
            work = deploy(
                self.context, subject, actor=PERSON, allow=allow, confirm_prune=confirm_prune, scope=scope
            )
            return asyncio.run(work)

    def rollback(
        self, to: RollbackTarget | None = None, *, allow: Sequence[str] = (), scope: Scope | None = None
    ) -> Verdict:
        """A person rolls back."""
        wanted = to or RollbackTarget(to_previous=True)
        work = rollback(self.context, PROD, to=wanted, reason="", actor=PERSON, allow=allow, scope=scope)
        return asyncio.run(work)

    def hold(self, *, until: datetime | None = None) -> None:
        """A person holds the environment."""
        asyncio.run(hold(self.context, PROD, reason="calm", actor=PERSON, until=until))

    def suspend(self, *, until: datetime | None = None) -> None:
        """A person suspends the environment."""
        asyncio.run(suspend(self.context, PROD, reason="moving", actor=PERSON, until=until))

    def resume(self, ends: Stop | None = None) -> None:
        """A person lets it go."""
        asyncio.run(resume(self.context, PROD, reason="", actor=PERSON, ends=ends))


def _image_id(reference: str) -> str:
    return f"sha256:{reference.encode().hex().ljust(64, '0')[:64]}"
