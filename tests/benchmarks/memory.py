"""The memory of a render, whatever the repository holds: the most that it and its children had at a time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.benchmarks.figures import Figure
from tests.benchmarks.stage import Place, Stage
from tests.support.repos import git

TARGET_MB = 200.0
_MEGABYTE = 1_000_000
_LOOK_SECONDS = 0.005
_RENDER_SECONDS = 300.0
_KILOBYTE = 1024
_RENDER = """
import asyncio, sys
from events.kernel.errors import UserError
from gitops.manifest import draft
from gitops.source.git import Repository
with Repository(sys.argv[1]) as repository:
    tree = repository.tree(sys.argv[2])
    try:
        asyncio.run(draft(tree, environment="prod", version=sys.argv[2]))
        print("rendered")
    except UserError as error:
        print(error.code)
"""


def measure(stage: Stage) -> list[Figure]:
    """One figure for each kind of repository."""
    return [_figure(stage, name, make) for name, make in _KINDS.items()]


def _figure(stage: Stage, name: str, make: Callable[[Place, Stage], str]) -> Figure:
    with stage.place(f"memory-{list(_KINDS).index(name)}") as place:
        revision = make(place, stage)
        peak, outcome = _peak_bytes([sys.executable, "-c", _RENDER, str(place.repository.work), revision])
    return Figure(
        what=f"Memory of a render: {name}",
        value=peak / _MEGABYTE,
        target=TARGET_MB,
        unit=" MB",
        detail=f"peak with child processes, shared pages counted once; {outcome}",
    )


def _peak_bytes(command: list[str]) -> tuple[int, str]:
    """The most memory that a command and what it starts had together, and what it said."""
    began, peak = time.monotonic(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, sum(_bytes_of(pid) for pid in _family(process.pid)))
            if time.monotonic() - began > _RENDER_SECONDS:
                process.kill()
                raise TimeoutError("a render did not end")
            time.sleep(_LOOK_SECONDS)
        assert process.stdout is not None
        return peak, process.stdout.read().strip()


def _family(pid: int) -> list[int]:
    """A process and all below it that are still there."""
    try:
        below = [
            int(one)
            for file in Path(f"/proc/{pid}/task").glob("*/children")
            for one in file.read_text().split()
        ]
    except OSError:
        return []
    return [pid, *(one for child in below for one in _family(child))]


def _bytes_of(pid: int) -> int:
    """Its share of the memory that it has mapped; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * _KILOBYTE for line in lines if line.startswith("Pss:"))


def _ordinary(place: Place, _stage: Stage) -> str:
    services = "".join(f"  web{number}: {{image: example.invalid/web}}\n" for number in range(50))
    return place.commit(f"services:\n{services}")


def _large_file(place: Place, stage: Stage) -> str:
    """A file that a service mounts."""
    size = stage.count(full=1_000_000_000, quick=20_000_000)
    _lightly_packed(place)
    with (place.repository.work / "large").open("wb") as file:
        file.truncate(size)
    return place.commit(
        "services:\n  web: {image: example.invalid/web, volumes: ['./large:/large']}\n", push=False
    )


def _large_compose_file(place: Place, stage: Stage) -> str:
    size = stage.count(full=1_000_000_000, quick=20_000_000)
    _lightly_packed(place)
    place.commit("services:\n  web: {image: example.invalid/web}\n", push=False)
    with (place.repository.work / "compose.yaml").open("ab") as file:
        file.truncate(size)
    return place.repository.commit({}, push=False)


def _lightly_packed(place: Place) -> None:
    """Let Git take a large file in seconds."""
    git("config", "core.compression", "1", cwd=place.repository.work)


def _alias_bomb(place: Place, _stage: Stage) -> str:
    levels = ["x-0: &a0 {k: v}\n"]
    levels += [f"x-{one}: &a{one} [{', '.join([f'*a{one - 1}'] * 9)}]\n" for one in range(1, 12)]
    return place.commit(f"{''.join(levels)}services:\n  web: {{image: example.invalid/web, x-all: *a11}}\n")


def _many_services(place: Place, stage: Stage) -> str:
    number = stage.count(full=100_000, quick=20_000)
    services = "".join(f"  s{one}: {{image: a}}\n" for one in range(number))
    return place.commit(f"services:\n{services}")


def _most_services(place: Place, _stage: Stage) -> str:
    """As many as are taken."""
    services = "".join(f"  s{one}: {{image: a, environment: {{A: b, C: d}}}}\n" for one in range(8_000))
    return place.commit(f"services:\n{services}")


_KINDS: Mapping[str, Callable[[Place, Stage], str]] = {
    "50 services": _ordinary,
    "a mounted file of 1 GB": _large_file,
    "a Compose file of 1 GB": _large_compose_file,
    "an alias bomb": _alias_bomb,
    "100,000 services": _many_services,
    "8,000 services": _most_services,
}
