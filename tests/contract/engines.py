"""The engines behind the port, each with what the suite needs around it.

That is images that behave in a known way, a Compose project of the test's own, a clock that moves the
engine's time, and an engine of the same kind that does not answer. The suite is all `test_engine_*` modules
here and asks through the port alone; an adapter is done when it passes what the others pass.
"""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from events import labels
from events.kernel.clock import Clock, SystemClock
from events.kernel.errors import StagecraftError
from projections.engine.docker import DockerEngine
from projections.engine.image_ports import ImageCarrier
from projections.engine.port import App, Container, Engine
from projections.engine.simulated import SimulatedEngine
from projections.engine.simulated_world import Life, World
from projections.engine.stock_port import Stock
from projections.engine.watch_port import EngineWatch
from tests.contract.hosts import reached
from tests.support.host_ssh import ssh_host
from tests.support.images import HEALTHY, TestImages
from tests.support.time import FakeClock

GONE = "0" * 64
WAIT_SECONDS = 15.0
TRAPPING = ["sh", "-c", "trap 'echo told' HUP; trap 'exit 7' USR1; echo up; while :; do sleep 1 & wait; done"]
WRITING = ("sh", "-c", "echo >/tmp/core")
NO_DATABASE = ("sh", "-c", "echo no database >&2; echo none at all; exit 3")
NO_DATABASE_LINE = shlex.join(NO_DATABASE)
Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """An engine under test and the world around it."""

    engine: Engine
    watch: EngineWatch  # the same one
    stock: Stock  # of the same one
    carrier: ImageCarrier  # likewise
    silent: Engine  # of the same kind, does not answer
    silent_watch: EngineWatch
    clock: Clock
    compose_project: str
    steady: str  # image: runs until it is stopped, and ends at once then; has sh, cat, echo
    steady_id: str
    healthy: str  # the same, with a health check that succeeds
    sick: str  # the same, with one that never does
    failing: str  # prints "cannot open the database" and ends with 4
    succeeding: str  # prints "job v1 ran" and ends with 0
    absent: str  # no engine has it and nobody listens at its registry

    def app(self, **services: Document) -> App:
        """A document of these services, each a steady one with our labels unless it says otherwise."""
        complete = {
            name: {"image": self.steady, "labels": ours(name), **service}
            for name, service in services.items()
        }
        return App(compose_project=self.compose_project, document={"services": complete})

    async def found(self) -> dict[str, Container]:
        """The project's containers by name, without the project's part of it."""
        containers = await self.engine.containers(self.compose_project)
        return {found.name.removeprefix(f"{self.compose_project}-"): found for found in containers}

    async def only(self) -> Container:
        """The project's only container."""
        (container,) = await self.engine.containers(self.compose_project)
        return container

    async def eventually(self, what: str, look: Callable[[], Awaitable[bool]]) -> None:
        """Return when `look` says yes."""
        deadline = self.clock.monotonic() + WAIT_SECONDS
        while not await look():
            assert self.clock.monotonic() < deadline, f"waited in vain: {what}"
            await self.clock.sleep(0.05)


def ours(service: str) -> dict[str, str]:
    """The labels of a container of ours."""
    return {
        labels.PROJECT: "shop",
        labels.ENVIRONMENT: "prod",
        labels.SERVICE: service,
        labels.SERVICE_HASH: f"hash-of-{service}",
        labels.LOG: "log-1",
    }


async def raised(kind: type[StagecraftError], call: Awaitable[object]) -> StagecraftError:
    """The error that `call` ends with."""
    with pytest.raises(kind) as caught:
        await call
    return caught.value


def docker(project: str, images: TestImages, folder: Path) -> Generator[Adapter]:
    """The engine of this machine."""
    steady = images.web()
    engine = DockerEngine(None, folder / "run")
    silent = DockerEngine(f"unix://{folder}/nobody.sock", folder / "run")
    try:
        yield _real(project, images, steady=steady, engine=engine, silent=silent)
    finally:
        engine.close()
        silent.close()


def docker_over_ssh(project: str, images: TestImages, folder: Path) -> Generator[Adapter]:
    """The same engine, as if it were another machine's, that an SSH server leads to."""
    steady = images.web()
    with ssh_host(folder / "sshd") as host, reached(host.settings) as transport:
        door = transport.engine_door(folder / "hosts")
        nowhere = replace(host.settings, engine_socket=PurePosixPath("/nobody.sock"))
        with reached(nowhere) as other:
            no_door = other.engine_door(folder / "hosts")
            engine = DockerEngine(None, folder / "run", door=door)
            silent = DockerEngine(None, folder / "run", door=no_door)
            try:
                yield _real(project, images, steady=steady, engine=engine, silent=silent)
            finally:
                engine.close()
                silent.close()
                door.close()
                no_door.close()


def _real(
    project: str, images: TestImages, *, steady: str, engine: DockerEngine, silent: DockerEngine
) -> Adapter:
    return Adapter(
        engine=engine,
        watch=engine,
        stock=engine.stock,
        carrier=engine.stock,
        silent=silent,
        silent_watch=silent,
        clock=SystemClock(),
        compose_project=f"{project}-prod",
        steady=steady,
        steady_id=images.image_id(steady),
        healthy=images.web(name="healthy", health=HEALTHY),
        sick=images.sick(name="sick"),
        failing=images.crashing(name="failing", code=4),
        succeeding=images.job(),
        absent=images.absent(),
    )


def simulated(path: Path | None) -> Adapter:
    """A simulated engine; with `path` its world is in that file."""
    clock = FakeClock()
    engine = SimulatedEngine(clock=clock, path=path)
    silent = SimulatedEngine(clock=clock, world=World(reachable=False))
    names = ("steady", "healthy", "sick", "failing", "succeeding")
    with engine.turn() as world:
        world.images.update({f"test/{name}:v1": f"sha256:{name.encode().hex():0>64}" for name in names})
        world.silent_registries.append("127.0.0.1:9")
        world.lives.update(_LIVES)
        steady_id = world.images["test/steady:v1"]
    return Adapter(
        engine=engine,
        watch=engine,
        stock=engine.stock,
        carrier=engine.stock,
        silent=silent,
        silent_watch=silent,
        clock=clock,
        compose_project="shop-prod",
        steady="test/steady:v1",
        steady_id=steady_id,
        healthy="test/healthy:v1",
        sick="test/sick:v1",
        failing="test/failing:v1",
        succeeding="test/succeeding:v1",
        absent="127.0.0.1:9/test/absent:v1",
    )


# What the real images and commands do, said in words.
_LIVES = {
    "test/steady:v1": Life(
        listens_after={8080: 0.1},
        pages={"/": (200, "web v1\n"), "/none": (404, "<HTML>no such page</HTML>")},
        programs={
            "true": (0, ""),
            NO_DATABASE_LINE: (3, "no database\nnone at all\n"),
        },
        hangs=("sleep 600",),
    ),
    "test/healthy:v1": Life(healthy_after=0.2),
    "test/sick:v1": Life(
        unhealthy_after=0.6, health_output="the database does not answer\n", health_budget_seconds=6.6
    ),
    "test/failing:v1": Life(exits_after=0.05, exit_code=4, log=("cannot open the database",)),
    "test/succeeding:v1": Life(exits_after=0.05, log=("job v1 ran",)),
    "test/steady:v1 sh -c echo one; echo two; echo three >&2": Life(
        exits_after=0.05, log=("one", "two", "three")
    ),
    f"test/steady:v1 {' '.join(WRITING)}": Life(exits_after=0.05, changes=("C /tmp", "A /tmp/core")),
    f"test/steady:v1 {' '.join(TRAPPING)}": Life(
        log=("up",), says_on={"SIGHUP": "told"}, ends_on=("SIGUSR1",), exit_code=7
    ),
    "test/steady:v1 cat": Life(exits_after=0.05),
    "test/steady:v1 /bin/nothing": Life(
        start_error='exec: "/bin/nothing": stat /bin/nothing: no such file or directory'
    ),
}
