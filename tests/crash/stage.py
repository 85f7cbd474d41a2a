"""A team, its repository, its engine, and one controller after the other.

The log, the engine's world, the branch and the folder of the home outlive each controller. A controller that
is killed is abandoned as it is, and the next one is made of nothing but what outlived it.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from typing_extensions import override

from controller.adapters import Adapters, LateAdapters
from controller.beside import decide_beside
from controller.catalogue import EngineCatalogue
from controller.context import Context
from controller.holders import holder_of
from controller.home import Home
from controller.locks import lock_file
from controller.look import Outcome, consider, keep
from controller.repositories import BranchRules
from controller.targets import Target
from controller.watching import see
from events.actors import MemoryActorDirectory
from events.blobs import MemoryBlobStore
from events.catalog import Event, propose
from events.catalog.environment import ManifestRendered
from events.catalog.release import ReleaseCompleted
from events.catalog.revision import RevisionObserved
from events.catalog.service import ServiceReplaced
from events.envelope import CONTROLLER, Actor
from events.kernel.errors import InternalError, StagecraftError
from events.log import EventLog, StreamAppend
from events.manifest import Job, Manifest, WaitCondition
from events.streams import environment_stream
from gitops.renderkey import inputs_of, render_key, renderer
from projections.converge.converger import Converger
from projections.engine.simulated import SimulatedEngine
from projections.engine.simulated_world import Life, SimulatedContainer, World
from projections.engine.sweep import Owner
from projections.observed import ObservedStore
from tests.crash.ledger import Contents, Ledger
from tests.support.commits import Branch
from tests.support.mortal import Fate, Killed, MortalLog
from tests.support.time import CountingIds, FakeClock
from tests.unit.projections.converge.scene import (
    COMPOSE_PROJECT,
    ENVIRONMENT,
    HOST,
    PROJECT,
    Spec,
    host_manifest,
    image_id,
)

PROD = Target(project=PROJECT, name=ENVIRONMENT)
STREAM = environment_stream(PROJECT, ENVIRONMENT)
PERSON = Actor(kind="cli", id="act-1")
CONFIG = "stagecraft.yml"
ABSENT = "absent"  # the service is not in the commit
WEB = ("1", "2", "3", "crashes", "sick", "never-healthy")
DB = ("1", "2", ABSENT)
MIGRATE = ("1", "2", "fails")
GOOD = frozenset({"1", "2", "3"})
_BY_GIT = frozenset({"DeployRequested", "RevertDetected", "ImagesRefreshed"})
LIVES: Mapping[str, Life] = {
    "web:1": Life(healthy_after=0.3),
    "web:2": Life(healthy_after=0.3),
    "web:crashes": Life(exits_after=0.4, exit_code=3, log=("cannot open the database",)),
    "web:sick": Life(unhealthy_after=1.0, health_output="connection refused"),
    "web:never-healthy": Life(healthy_after=100_000.0),
    "migrate:1": Life(exits_after=0.2),
    "migrate:2": Life(exits_after=0.2),
    "migrate:fails": Life(exits_after=0.2, exit_code=4, log=("no such table",)),
}
_CHANGING = frozenset({"stop", "start", "signal", "remove", "rename", "remove_network", "remove_volume"})

T = TypeVar("T")


class SteppingClock(FakeClock):
    """Its wall time can be set, which its monotonic time does not notice."""

    def __init__(self) -> None:
        super().__init__()
        self._step = timedelta()

    @override
    def now(self) -> datetime:
        return super().now() + self._step

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back."""
        self._step += timedelta(seconds=seconds)


def is_good(contents: Contents) -> bool:
    """Whether all of it runs."""
    return set(contents.values()) <= GOOD | {ABSENT}


@dataclass(slots=True)
class Fault:
    """What an engine call raises instead of an answer, once."""

    left: int
    error: Callable[[], StagecraftError]


@dataclass(slots=True)
class Beside:
    """What somebody else does while containers are looked at, once."""

    left: int  # looks until then
    act: Callable[[], None]


@dataclass(slots=True, kw_only=True)
class Stage:
    """Everything that outlives a controller, and the controller that runs now."""

    folder: Path
    reopen: Callable[[EventLog | None], EventLog]  # what a new process finds of the log of an old one
    clock: SteppingClock = field(default_factory=SteppingClock)
    ids: CountingIds = field(default_factory=CountingIds)
    world: World = field(default_factory=World)
    branch: Branch = field(default_factory=Branch)
    blobs: MemoryBlobStore = field(default_factory=MemoryBlobStore)
    actors: MemoryActorDirectory = field(default_factory=MemoryActorDirectory)
    ledger: Ledger = field(default_factory=Ledger)
    manifests: dict[str, Manifest] = field(default_factory=dict[str, Manifest])
    foreign: dict[str, SimulatedContainer] = field(default_factory=dict[str, SimulatedContainer])
    seen: dict[str, str] = field(default_factory=dict[str, str])  # service by container, all that ever were
    changed: list[str] = field(default_factory=list[str])  # changing engine calls
    rules: BranchRules = field(default_factory=lambda: BranchRules(allow_rewrite=True))  # of the branch
    fault: Fault | None = None
    beside: Beside | None = None
    log: EventLog = field(init=False)
    fate: Fate = field(init=False)
    context: Context = field(init=False)
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)

    def __post_init__(self) -> None:
        for kind, variants in (("web", WEB), ("db", DB), ("migrate", MIGRATE)):
            for variant in variants:
                text = f"{kind}:{variant}"
                self.world.images[text] = image_id(text)
                if text in LIVES:
                    self.world.lives[image_id(text)] = LIVES[text]
        self.log = self.reopen(None)
        self.start()

    # Controllers

    def start(self) -> None:
        """A controller starts."""
        home = Home(self.folder / "home")
        lock = lock_file(home.run, str(PROD))
        self.fate = Fate(take_over=self._take_over, has_lock=lambda: holder_of(lock) is not None)
        self.fault, self.beside = None, None
        home.create()
        engine = SimulatedEngine(clock=self.clock, world=self.world)
        engine.before = self._before(self.fate)
        log = MortalLog(self.log, self.fate, witness=self._witness)
        observed = ObservedStore(home.observed_db)
        converger = Converger(
            log=log,
            blobs=self.blobs,
            engines={HOST: engine},
            stocks={HOST: engine.stock},
            roots={HOST: home.local},
            observed=observed,
            clock=self.clock,
        )
        self.context = Context(
            home=home,
            log=log,
            blobs=self.blobs,
            actors=self.actors,
            clock=self.clock,
            ids=self.ids,
            adapters=LateAdapters(
                lambda: Adapters(catalogue=EngineCatalogue(engine), converger=converger, observed=observed)
            ),
            progress=lambda _: None,
        )

    def restart(self) -> None:
        """The controller ends and another one starts over the same log."""
        self.log = self.reopen(self.log)
        self.start()

    def run(self, work: Callable[[], Awaitable[T]]) -> T | StagecraftError | None:
        """Let the controller work; None when it was killed over it, and then another one has started.

        Errors for people are answered, bugs are raised.
        """
        try:
            return self.runner.run(_awaited(work))
        except Killed:
            self.runner.close()
            self.runner = asyncio.Runner()
            self.restart()
            return None
        except InternalError:
            raise
        except StagecraftError as error:
            return error
        finally:
            self.fault, self.beside = None, None
            self.fate.work_is_over()

    def end(self) -> None:
        """Give everything back."""
        self.runner.close()
        self.log.close()

    async def look(self) -> Outcome | None:
        """As the daemon does: see what the branch shows, else go by what it showed, else only keep."""
        if self.branch.head is None:
            return await keep(self.context, PROJECT, ENVIRONMENT)
        try:
            sighting = await see(self.context, self.branch.tip, config_path=CONFIG, rules=self.rules)
        except StagecraftError:
            return await keep(self.context, PROJECT, ENVIRONMENT)
        return await consider(self.context, sighting, ENVIRONMENT)

    # The team

    def push(self, contents: Contents, *, signed: bool = True) -> str:
        """A commit with these variants, rendered as the renderer would; answers the Manifest's digest."""
        contents = {service: variant for service, variant in contents.items() if variant != ABSENT}
        text = " ".join(f"{service}={variant}" for service, variant in sorted(contents.items()))
        files = {
            CONFIG: f"project: {{name: {PROJECT}}}\nenvironments: {{{ENVIRONMENT}: {{}}}}\n",
            "compose.yaml": f"# {text}\n",
        }
        revision = self.branch.commit(files, signed=signed)
        return self._rendered(revision, contents)

    def _rendered(self, revision: str, contents: Contents) -> str:
        after: dict[str, WaitCondition] = {"migrate": "service_completed_successfully"}
        specs = {name: Spec(image=f"{name}:{variant}") for name, variant in contents.items()}
        specs["web"] = replace(specs["web"], waits_for=after)
        specs["migrate"] = replace(specs["migrate"], job=Job())
        manifest = Manifest(
            project=PROJECT,
            environment=ENVIRONMENT,
            compose_project=COMPOSE_PROJECT,
            hosts={HOST: host_manifest(specs)},
        )
        digest, tree = manifest.digest, self.branch.tree(revision)
        if digest not in self.manifests:
            self.manifests[digest], self.ledger.contents[digest] = manifest, contents
            self.blobs.put(manifest.encode())
            inputs = inputs_of(tree, [CONFIG, "compose.yaml"])
            self.append(
                ManifestRendered(
                    digest=digest,
                    revision=revision,
                    version=revision,
                    render_key=render_key(inputs, renderer()),
                    inputs=inputs,
                    renderer=renderer(),
                    services=manifest.service_hashes(),
                    images=manifest.images(),
                )
            )
        self.ledger.commits[revision] = digest
        return digest

    def append(self, event: Event, *, actor: Actor = CONTROLLER) -> None:
        """An event from elsewhere."""
        proposed = propose(event, ids=self.ids, clock=self.clock, actor=actor)
        self.log.append([StreamAppend(stream=STREAM, events=(proposed,))])

    def plan_fault(self, calls: int, error: Callable[[], StagecraftError]) -> None:
        """That call of the next work raises instead of an answer."""
        self.fault = Fault(left=calls, error=error)

    def plan_beside(self, looks: int, act: Callable[[], None]) -> None:
        """Somebody acts in the next work, when a container has been looked at so often."""
        self.beside = Beside(left=looks, act=act)

    def seen_beside(self) -> None:
        """Another look sees what the branch shows, and finds the lock in somebody's hands."""

        async def decided() -> None:
            sighting = await see(self.context, self.branch.tip, config_path=CONFIG, rules=self.rules)
            await decide_beside(self.context, sighting, ENVIRONMENT)

        found: list[BaseException] = []

        def in_its_own_loop() -> None:
            try:
                asyncio.run(decided())
            except StagecraftError:
                pass  # such as a commit that nobody signed
            except BaseException as error:  # noqa: BLE001  # raised again by whoever waits for it
                found.append(error)

        other = threading.Thread(target=in_its_own_loop)
        other.start()
        other.join()  # so that what happens is the same each time
        for error in found:
            raise error

    def forget_foreign(self, container: str) -> None:
        """Its owner takes a container away."""
        del self.foreign[container], self.world.containers[container]

    def foreign_container(self, name: str, found: Mapping[str, str]) -> str:
        """Somebody else's container appears; answers its id."""
        container = SimulatedEngine(clock=self.clock, world=self.world).add(name, found=found)
        self.foreign[container] = deepcopy(self.world.containers[container])
        return container

    # Who watches

    @property
    def owner(self) -> Owner:
        """Whose containers are ours."""
        return Owner(project=PROJECT, environment=ENVIRONMENT, log=self.log.lineage)

    def ours(self) -> list[SimulatedContainer]:
        """Our containers, jobs aside."""
        return [
            one for key, one in self.world.containers.items() if key not in self.foreign and not one.one_off
        ]

    def _before(self, fate: Fate) -> Callable[[str, str], None]:
        def before(call: str, argument: str) -> None:
            self._remember()
            if call in _CHANGING and argument in self.foreign:
                raise AssertionError(f"{call} of a container that is not ours")
            if call in _CHANGING or call in {"up", "up_beside", "run_job"}:
                self.changed.append(call)
                if fate.taken_over:
                    fate.late.append(call)
            fate.moment()
            if call == "inspect" and self.beside is not None:
                self.beside.left -= 1
                if self.beside.left < 0:
                    beside, self.beside = self.beside, None
                    beside.act()
            if self.fault is not None and "-" not in call:
                if self.fault.left == 0:
                    error, self.fault = self.fault.error(), None
                    raise error
                self.fault.left -= 1

        return before

    def _take_over(self) -> None:
        """Another process on this home believes that it holds the lock, and is right."""
        self.log.draw_token(str(PROD), after=self.log.newest_token(str(PROD)))

    def _remember(self) -> None:
        for key, one in self.world.containers.items():
            self.seen.setdefault(key, one.labels.get("com.docker.compose.service", ""))

    def _witness(self, parts: Sequence[StreamAppend]) -> None:
        """What an event says of the engine is so at the moment it is said."""
        self._remember()
        for part in parts:
            for proposed in part.events:
                self._look_at(part.stream, proposed.type, proposed.data)

    def _look_at(self, stream: str, name: str, data: bytes) -> None:
        if name == ServiceReplaced.__name__:
            replaced = ServiceReplaced.model_validate_json(data)
            for container in (*replaced.old_ids, *replaced.new_ids):
                assert self.seen.get(container) == replaced.service, f"{stream} names a container of nobody"
                assert container not in self.foreign, f"{stream} names a container that is not ours"
        if name == RevisionObserved.__name__:
            observed = RevisionObserved.model_validate_json(data)
            assert self.trusts(observed.revision), "a commit that nobody vouches for is taken"
        if name in _BY_GIT:
            assert self.branch.head is not None
            trigger = json.loads(data).get("trigger", "git")
            assert trigger != "git" or self.trusts(self.branch.head), f"{name} while the tip is refused"
        if name == ReleaseCompleted.__name__:
            completed = ReleaseCompleted.model_validate_json(data)
            self.runs(completed.digest)

    def trusts(self, revision: str) -> bool:
        """Whether the operator's rules trust a commit by itself; `every` wants more than that."""
        return not self.rules.verification.wanted or revision in self.branch.signed

    def runs(self, digest: str) -> None:
        """Each service of a Manifest runs exactly once, and nothing else of ours does."""
        wanted = {
            name: service
            for name, service in self.manifests[digest].hosts[HOST].services.items()
            if service.job is None
        }
        found: dict[str, list[SimulatedContainer]] = {}
        for one in self.ours():
            found.setdefault(one.labels.get("stagecraft.service", ""), []).append(one)
        assert sorted(found) == sorted(wanted), f"{sorted(found)} are there, {sorted(wanted)} should be"
        for name, containers in found.items():
            (container,) = containers
            moment = self.world.moment(container, self.clock.monotonic())
            proper = re.fullmatch(rf"{COMPOSE_PROJECT}-{name}-\d+", container.name)
            assert proper, f"{name} runs as {container.name}"
            assert container.labels["stagecraft.service-hash"] == wanted[name].hash, f"{name} is another one"
            assert moment.state == "running", f"{name} is {moment.state}"
            assert moment.health in {"none", "healthy"}, f"{name} is {moment.health}"

    def read_on(self) -> None:
        """Read what was appended since; every promise is checked on the way."""
        self.ledger.take(self.log.read(after=self.ledger.position))


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
