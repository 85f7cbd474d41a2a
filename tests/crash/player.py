"""A controller in a process of its own, wired as `controller/bootstrap.py` wires it, that can be killed.

The process is a fork of the test's, so it starts in a hundredth of a second with everything imported. It
shares nothing with the test but files: the home with the real log, the repository, and the world of the
simulated engine, which outlives it as a real engine does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import traceback
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from controller.adapters import Adapters, LateAdapters
from controller.adopting import adopt
from controller.candidates import Subject
from controller.catalogue import EngineCatalogue
from controller.context import Context
from controller.decide.rollback import RollbackTarget
from controller.deploying import deploy
from controller.home import Home
from controller.look import keep, look
from controller.pruning import confirm_prune
from controller.removing import destroy
from controller.repositories import WatchedBranch, watched
from controller.rolling_back import rollback
from controller.steering import steer
from controller.targets import Target
from events.actors import SqliteActorDirectory
from events.blobs import FileBlobStore
from events.catalog.service import ServiceReplaced, ServiceStartedBeside
from events.envelope import Actor
from events.kernel.clock import Clock
from events.kernel.ids import SystemIds
from events.reserve import Reserve
from gitops.source.git import Repository as OpenRepository
from projections.converge.converger import Converger
from projections.converge.steering import Wish
from projections.edge.simulated import SimulatedEdges
from projections.engine.simulated import SimulatedEngine
from projections.kept import KeptContainers
from projections.observed import ObservedStore
from tests.crash.tape import LocalEngine, Tape, TapedLog, at_edges, inside, taped
from tests.support.repos import Repository
from tests.support.time import START, FakeClock

ENVIRONMENT = "prod"
PERSON = Actor(kind="cli", id="act-1")
LONGEST_SECONDS = 120.0
KILLED = -signal.SIGKILL
MOVED = 2  # services that a merge brings before the first wait for health

Act = Callable[["Stage", Context], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """All that outlives a process: its home, the repository and the engine."""

    folder: Path
    repository: Repository
    project: str = "shop"
    generation: int = 0  # how many processes came before: time goes on from one to the next
    wall_jump: timedelta = timedelta()  # how far the wall clock is off

    @property
    def home(self) -> Home:
        """The controller's home."""
        return Home(self.folder / "home")

    @property
    def world(self) -> Path:
        """The file of the simulated engine."""
        return self.folder / "world.json"

    @property
    def edges(self) -> Path:
        """The file of what is wrong with simulated gateways."""
        return self.folder / "edges.json"

    @property
    def target(self) -> Target:
        """The one environment."""
        return Target(project=self.project, name=ENVIRONMENT)

    def later(self) -> Stage:
        """The same for the next process."""
        return replace(self, generation=self.generation + 1)

    def clock(self) -> FakeClock:
        """A clock without waiting that goes on where the process before can have been at most."""
        clock = FakeClock(START + self.wall_jump)
        clock.advance(100_000.0 * (self.generation + 1))
        return clock


async def act_look(stage: Stage, context: Context) -> object:
    """One look at the branch, as `controller run --once` and the daemon do it."""
    repository = watched(stage.home, str(stage.repository.origin), cwd=stage.folder)
    place = WatchedBranch(watched=repository, branch="main")
    return await look(context, place, config_path="stagecraft.yml")


async def act_keep(stage: Stage, context: Context) -> object:
    """The daemon's pass without Git: finish what was begun, heal."""
    return await keep(context, stage.project, ENVIRONMENT)


def steering(wish: Wish) -> Act:
    """A person has the web stopped, started or restarted."""

    async def act(stage: Stage, context: Context) -> object:
        return await steer(context, stage.target, wish, service="web", reason="by hand", actor=PERSON)

    return act


act_stop, act_start, act_restart = steering("stop"), steering("start"), steering("restart")


async def act_rollback(stage: Stage, context: Context) -> object:
    """A person goes back to the Release before."""
    to = RollbackTarget(to_previous=True)
    return await rollback(context, stage.target, to=to, reason="it is bad", actor=PERSON)


async def act_make_way(stage: Stage, context: Context) -> object:
    """A person goes back to the first Release while a look waits for containers to turn healthy."""

    def moved() -> int:
        began = (ServiceReplaced.__name__, ServiceStartedBeside.__name__)
        return sum(len(context.log.read(type_name=one)) for one in began)

    before = moved()
    looking = asyncio.create_task(act_look(stage, context))
    while not looking.done() and moved() < before + MOVED:  # noqa: ASYNC110  # the log has no event to await
        await asyncio.sleep(0)
    first = context.environment(stage.project, ENVIRONMENT).completed()[-1].id
    to = RollbackTarget(to_release=first)
    verdict = await rollback(context, stage.target, to=to, reason="it is bad", actor=PERSON)
    await looking
    return verdict


@contextmanager
def _newest_commit(stage: Stage) -> Generator[Subject]:
    with OpenRepository(stage.repository.work) as opened:
        commit = opened.resolve("HEAD")
        yield Subject(
            tree=opened.tree(commit.revision),
            revision=commit.revision,
            config_path="stagecraft.yml",
            project=stage.project,
            environment=ENVIRONMENT,
        )


async def act_deploy(stage: Stage, context: Context) -> object:
    """A person deploys the newest commit."""
    with _newest_commit(stage) as subject:
        return await deploy(context, subject, actor=PERSON)


async def act_destroy(stage: Stage, context: Context) -> object:
    """A person takes the environment away, with the volume."""
    volumes = frozenset({f"{stage.project}-{ENVIRONMENT}_data"})
    return await destroy(context, stage.target, volumes=volumes, reason="over", actor=PERSON)


async def act_prune(stage: Stage, context: Context) -> object:
    """A person lets the six go that have left."""
    return await confirm_prune(context, stage.target, confirmed=6, reason="they are gone", actor=PERSON)


async def act_adopt(stage: Stage, context: Context) -> object:
    """A person takes over what runs."""
    with _newest_commit(stage) as subject:
        return await adopt(context, subject, actor=PERSON)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process: what it did, and how it ended."""

    code: int  # negative: the signal
    tape: Path
    words: str

    def expect(self, code: int = 0) -> Run:
        """This run, when it ended so."""
        assert self.code == code, f"the process ended with {self.code}, not {code}:\n{self.words}"
        return self


def nothing_happens(_point: str) -> None:
    """The usual fate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a process."""

    kill_at: str | None = None
    kill_at_change: int | None = None
    kill_after_seconds: float = 0.0
    strike: Callable[[str], None] = nothing_happens  # in the process, at each point


def stopping(at: str) -> Callable[[str], None]:
    """A strike that stops the process at a point, as SIGSTOP from outside does."""

    def strike(point: str) -> None:
        if point == at:
            os.kill(os.getpid(), signal.SIGSTOP)

    return strike


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A process that stands still in the middle of its work."""

    pid: int
    words: Path

    def goes_on(self) -> Run:
        """Let it go on, to its end."""
        os.kill(self.pid, signal.SIGCONT)
        _, status = os.waitpid(self.pid, 0)
        return Run(code=os.waitstatus_to_exitcode(status), tape=self.words, words=_read(self.words))


@contextmanager
def stopped(stage: Stage, act: Act, *, at: str) -> Generator[Stopped]:
    """A process that was stopped at a point; it is gone afterwards."""
    words = stage.folder / f"words-{stage.generation}"
    child = _forked(stage, act, Fate(strike=stopping(at)), words)
    _, status = os.waitpid(child, os.WUNTRACED)
    assert os.WIFSTOPPED(status), f"it ended before {at}:\n{_read(words)}"
    try:
        yield Stopped(pid=child, words=words)
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def play(
    stage: Stage,
    act: Act,
    fate: Fate = Fate(),  # frozen
    *,
    engine: Callable[[Stage, Clock, Tape], LocalEngine] | None = None,
    clock: Clock | None = None,
) -> Run:
    """Run one act in a process of its own and wait for its end."""
    words = stage.folder / f"words-{stage.generation}"
    child = _forked(stage, act, fate, words, engine=engine, clock=clock)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return Run(code=code, tape=_tape_of(stage), words=_read(words))


def _tape_of(stage: Stage) -> Path:
    return stage.folder / f"tape-{stage.generation}"


def _read(words: Path) -> str:
    return words.read_text() if words.exists() else ""


def _forked(
    stage: Stage,
    act: Act,
    fate: Fate,
    words: Path,
    *,
    engine: Callable[[Stage, Clock, Tape], LocalEngine] | None = None,
    clock: Clock | None = None,
) -> int:
    """The id of a process that runs one act and ends."""
    tape = _tape_of(stage)
    tape.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:  # pragma: no cover  # no coverage is saved in a process that is killed
        code = 1
        try:
            signal.alarm(int(LONGEST_SECONDS))
            _act(stage, act, _tape(tape, fate), words, engine, clock)
            code = 0
        except BaseException:  # noqa: BLE001  # nothing may reach the test's own stack in this process
            with words.open("a") as file:
                file.write(traceback.format_exc())
        finally:
            os._exit(code)
    return child


def _tape(path: Path, fate: Fate) -> Tape:
    return Tape(
        path,
        kill_at=fate.kill_at,
        kill_at_change=fate.kill_at_change,
        kill_after_seconds=fate.kill_after_seconds,
        strike=fate.strike,
    )


def _act(
    stage: Stage,
    act: Act,
    tape: Tape,
    words: Path,
    make_engine: Callable[[Stage, Clock, Tape], LocalEngine] | None,
    clock: Clock | None,
) -> None:
    clock = clock or stage.clock()
    engine = (make_engine or simulated)(stage, clock, tape)

    def say(line: str) -> None:
        with words.open("a") as file:
            file.write(f"{line}\n")

    with context_of(stage, engine, tape=tape, clock=clock, say=say) as context:
        say(f"{asyncio.run(_awaited(act(stage, context)))}")


async def _awaited(work: Awaitable[object]) -> object:
    return await work


def simulated(stage: Stage, clock: Clock, tape: Tape) -> LocalEngine:
    """The simulated engine, with a point around and inside each call."""
    engine = SimulatedEngine(clock=clock, path=stage.world)
    engine.before = inside(tape)
    return taped(engine, tape)


@contextmanager
def context_of(
    stage: Stage, engine: LocalEngine, *, tape: Tape, clock: Clock, say: Callable[[str], None]
) -> Generator[Context]:
    """Everything wired, with the taped log."""
    home = stage.home
    home.create()
    reserve = Reserve(home.reserve)
    reserve.make()
    log = TapedLog(home.events_db, tape, reserve)
    blobs, observed = FileBlobStore(home.blobs), ObservedStore(home.observed_db)
    actors = SqliteActorDirectory(home.actors_db, reserve=reserve)
    edges = SimulatedEdges(path=stage.edges)
    edges.before = at_edges(tape)
    converger = Converger(
        log=log,
        blobs=blobs,
        engines={"local": engine},
        stocks={"local": engine.stock},
        roots={"local": home.local},
        observed=observed,
        clock=clock,
        progress=say,
        kept=KeptContainers(home.kept),
        edges=edges,
    )
    try:
        yield Context(
            home=home,
            log=log,
            blobs=blobs,
            actors=actors,
            clock=clock,
            ids=SystemIds(clock),
            adapters=LateAdapters(
                lambda: Adapters(catalogue=EngineCatalogue(engine), converger=converger, observed=observed)
            ),
            progress=say,
        )
    finally:
        actors.close()
        log.close()
