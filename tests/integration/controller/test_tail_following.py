"""Following real logs through cuts of the connection to their engine."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from pathlib import Path

from docker.client import DockerClient

from controller.tail_following import Pace, follow
from controller.tailing import Wanted, choose
from controller.targets import Target
from events import labels
from events.kernel.clock import SystemClock
from events.kernel.errors import OutsideError
from projections.engine.docker import DockerEngine
from tests.support.cleanup import PROJECT_LABEL, EngineProject
from tests.support.engine_proxy import CuttableEngine, cuttable_engine
from tests.support.images import TestImages

COUNT = "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.02; done"
PACE = Pace(look_seconds=0.2, silent_seconds=0.2, hold_seconds=0.1)
CUTS = 3
_SECONDS = 90


def counting(engine: DockerClient, project: EngineProject, images: TestImages) -> Wanted:
    """A container of the project's that counts, and the wish to see it."""
    told = {
        PROJECT_LABEL: f"{project.name}-prod",
        labels.PROJECT: project.name,
        labels.ENVIRONMENT: "prod",
        labels.SERVICE: "web",
        labels.LOG: "log-1",
    }
    engine.containers.run(images.job(), ["/bin/sh", "-c", COUNT], detach=True, labels=told)
    return Wanted(target=Target(project=project.name, name="prod"), lineage="log-1")


async def followed(wanted: Wanted, docker: DockerEngine, wire: CuttableEngine) -> tuple[list[str], list[str]]:
    """Lines and what was told, through some cuts, until lines come after the last of them."""
    sources = {"far": docker}
    lines: list[str] = []
    told: list[str] = []
    silent = asyncio.Event()
    cutting: asyncio.Task[None] | None = None
    cuts, enough = 0, 50

    def tell(_host: str, error: OutsideError | None) -> None:
        told.append("answers" if error is None else error.code)
        if error is not None:
            silent.set()

    async def cut() -> None:
        """The host is away until somebody notices."""
        silent.clear()
        await asyncio.to_thread(wire.cut)
        await silent.wait()
        await asyncio.to_thread(wire.heal)

    found = await choose(sources, wanted, known=())
    async with (
        asyncio.timeout(_SECONDS),
        aclosing(follow(sources, wanted, found, clock=SystemClock(), tell=tell, pace=PACE)) as every,
    ):
        async for line in every:
            lines.append(line.text)
            if len(lines) < enough or told.count("answers") < cuts:
                continue
            if cuts == CUTS:
                break
            cuts, enough = cuts + 1, len(lines) + 50
            cutting = asyncio.create_task(cut())
    assert cutting is not None
    await cutting
    return lines, told


def test_no_line_is_lost_and_none_comes_twice(
    engine: DockerClient, engine_project: EngineProject, images: TestImages, tmp_path: Path
) -> None:
    wanted = counting(engine, engine_project, images)
    with (
        cuttable_engine(tmp_path / "docker.sock") as wire,
        closing(DockerEngine(wire.url, tmp_path / "run")) as docker,
    ):
        lines, told = asyncio.run(followed(wanted, docker, wire))
    assert lines == [f"line {number}" for number in range(len(lines))]
    assert told == ["engine-unreachable", "answers"] * CUTS
