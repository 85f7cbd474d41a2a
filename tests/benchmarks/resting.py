"""A daemon with 20 environments: what it takes at rest, and how fast it brings back a container.

Each environment has one container killed once and changed once, for a daemon that sees the same one die again
and again is meant to slow down. What the engine takes for the same is measured beside it, on a container of
the same image that is nobody's: its start for one that was killed, its end and its making for a changed one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from docker.models.containers import Container

from tests.benchmarks.figures import Figure, median, percentile, seconds
from tests.benchmarks.stage import Place, Stage
from tests.support.daemons import Daemon, running_daemon

ENVIRONMENTS = 20
CPU_TARGET = 0.5  # percent of a core
MEMORY_TARGET = 120.0  # MB
HEAL_TARGET = 1.0  # seconds beside the container's own start
_COMPOSE = "services:\n  web:\n    image: {image}\n    stop_grace_period: 1s\n"
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MEGABYTE = 1_000_000
_LOOK_SECONDS = 0.005


def measure(stage: Stage) -> list[Figure]:
    """Idle first, then a container killed in each environment."""
    environments = stage.count(full=ENVIRONMENTS, quick=2)
    names = [f"env{number:02}" for number in range(environments)]
    image = stage.images.web("v0")
    with stage.place("resting") as place:
        place.commit(
            _COMPOSE.format(image=image),
            environments="".join(f"  {name}: {{gate: {{settle: 300ms}}}}\n" for name in names),
        )
        with running_daemon(place.cli, "--repo", place.repository.origin) as daemon:
            daemon.says("completed after", times=environments, seconds=300)
            figures = [
                *idle(stage, daemon, f"{environments} environments"),
                _healing(stage, place, image),
                _altered(stage, place, image),
            ]
            assert daemon.end() == 0
    return figures


def idle(stage: Stage, daemon: Daemon, what: str) -> list[Figure]:
    """CPU time and resident memory of the daemon and the processes it keeps; `what` it watches."""
    wanted = stage.count(full=90, quick=2)
    time.sleep(stage.count(full=10, quick=1))  # what the last Release set off comes to rest
    before, began = _cpu_seconds(daemon.process.pid), time.monotonic()
    time.sleep(wanted)
    share = (_cpu_seconds(daemon.process.pid) - before) / (time.monotonic() - began)
    memory = sum(_resident_bytes(pid) for pid in _family(daemon.process.pid)) / _MEGABYTE
    detail = f"{what}, {wanted} s"
    return [
        Figure(
            what="Daemon at rest: share of a core",
            value=share * 100,
            target=CPU_TARGET,
            unit=" %",
            detail=detail,
        ),
        Figure(
            what="Daemon at rest: resident memory, with its child processes",
            value=memory,
            target=MEMORY_TARGET,
            unit=" MB",
            detail=detail,
        ),
    ]


def _healing(stage: Stage, place: Place, image: str) -> Figure:
    """Each environment's container is killed once, as `docker kill` does it."""
    healed: list[float] = []
    own: list[float] = []
    alone = stage.engine.containers.create(image, name=f"{place.by_hand.name}-alone")
    try:
        alone.start()
        for container in place.ours.containers():
            project = container.labels["com.docker.compose.project"]
            began = time.perf_counter()
            container.kill()
            _until_running(stage, project, after=container)
            healed.append(time.perf_counter() - began)
            own.append(_own_start(alone))
            stage.tell(f"healed after {seconds(healed[-1])}, own start {seconds(own[-1])}")
    finally:
        alone.remove(force=True)
    return Figure(
        what="Container killed until it runs again, without its own start: p95",
        value=percentile(healed, 95) - median(own),
        target=HEAL_TARGET,
        unit=" s",
        detail=f"{len(healed)} kills; median {seconds(median(healed))}, "
        f"p95 {seconds(percentile(healed, 95))}, own start {seconds(median(own))}",
    )


def _altered(stage: Stage, place: Place, image: str) -> Figure:
    """Each environment's container gets another restart policy, as `docker update` does it."""
    healed: list[float] = []
    own: list[float] = []
    for container in place.ours.containers():
        project = container.labels["com.docker.compose.project"]
        container.reload()
        began = time.perf_counter()
        container.update(  # pyright: ignore[reportUnknownMemberType]  # the stubs leave its answer open
            restart_policy={"Name": "on-failure", "MaximumRetryCount": 3}
        )
        _until_running(stage, project, after=container)
        healed.append(time.perf_counter() - began)
        own.append(_own_exchange(stage, image, f"{place.by_hand.name}-alone"))
        stage.tell(f"made anew after {seconds(healed[-1])}, by hand {seconds(own[-1])}")
    return Figure(
        what="Limit changed by hand until the container is made anew, without that itself: p95",
        value=percentile(healed, 95) - median(own),
        target=HEAL_TARGET,
        unit=" s",
        detail=f"{len(healed)} changes; median {seconds(median(healed))}, "
        f"p95 {seconds(percentile(healed, 95))}, stop, removal and a new one by hand {seconds(median(own))}",
    )


def _own_exchange(stage: Stage, image: str, name: str) -> float:
    """How long a container takes to be stopped, removed, made again and started."""

    def running() -> bool:
        alone.reload()
        return alone.status == "running"

    alone = stage.engine.containers.run(image, name=name, detach=True)
    try:
        _quickly("it runs", running)
        began = time.perf_counter()
        alone.stop(timeout=1)
        alone.remove()
        alone = stage.engine.containers.run(image, name=name, detach=True)
        _quickly("it runs", running)
        return time.perf_counter() - began
    finally:
        alone.remove(force=True)


def _until_running(stage: Stage, project: str, *, after: Container) -> None:
    """A container of the project runs that was started after `after` was."""
    began: str = after.attrs["State"]["StartedAt"]
    filters: dict[str, str | list[str] | bool] = {
        "label": f"com.docker.compose.project={project}",
        "status": "running",
    }

    def again() -> bool:
        found = stage.engine.containers.list(filters=filters, ignore_removed=True)
        return any(one.attrs["State"]["StartedAt"] != began for one in found)

    _quickly(f"{project} runs again", again)


def _own_start(container: Container) -> float:
    """How long this container takes from the call to start it until it runs."""
    container.kill()
    container.wait(timeout=30)
    began = time.perf_counter()
    container.start()

    def running() -> bool:
        container.reload()
        return container.status == "running"

    _quickly("it runs", running)
    return time.perf_counter() - began


def _quickly(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + 60
    while not holds():
        if time.perf_counter() > deadline:
            raise TimeoutError(f"waited in vain until {what}")
        time.sleep(_LOOK_SECONDS)


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    below = [int(child) for file in children for child in file.read_text().split()]
    return [pid, *(one for child in below for one in _family(child))]


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process, of its children that have ended and of those that live."""
    total = 0
    for member in _family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(ticks) for ticks in fields[11:15])
    return total / _TICKS


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
