"""Following a container's log on the real engine: with and without a terminal, and one that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from docker.client import DockerClient

from events.kernel.errors import OutsideError
from projections.engine.docker import DockerEngine
from tests.support.cleanup import PROJECT_LABEL, EngineProject
from tests.support.images import TestImages

SCRIPT = "echo one; echo two >&2; sleep 0.3; echo password=hunter2; echo three; sleep 0.3; printf four"


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[DockerEngine]:
    with closing(DockerEngine(None, tmp_path / "run")) as made:
        yield made


def started(engine: DockerClient, project: EngineProject, images: TestImages, *, tty: bool) -> str:
    """A container that writes, waits and writes again."""
    container = engine.containers.run(
        images.job(),
        ["/bin/sh", "-c", SCRIPT],
        detach=True,
        tty=tty,
        labels={PROJECT_LABEL: f"{project.name}-prod"},
    )
    return container.id or ""


async def lines(engine: DockerEngine, container: str, **options: int) -> list[str]:
    async with asyncio.timeout(15):
        return [line.text async for line in engine.follow_logs(container, tail=options.get("tail"))]


@pytest.mark.parametrize("tty", [False, True])
def test_lines_come_until_the_container_ends(
    docker: DockerEngine,
    engine: DockerClient,
    engine_project: EngineProject,
    images: TestImages,
    *,
    tty: bool,
) -> None:
    container = started(engine, engine_project, images, tty=tty)
    found = asyncio.run(lines(docker, container))
    # Docker 20.10 may end a followed log before what was written without a line end; read again, it is there.
    assert sorted(found)[-4:] == ["one", "password=***", "three", "two"]
    assert asyncio.run(lines(docker, container, tail=1)) == ["four"]
    assert asyncio.run(lines(docker, container, tail=0)) == []


def test_a_container_that_is_gone_has_no_lines(docker: DockerEngine, engine: DockerClient) -> None:
    assert engine.ping()
    assert asyncio.run(lines(docker, "0" * 64)) == []


def test_an_engine_that_does_not_answer_is_unreachable(tmp_path: Path) -> None:
    with (
        closing(DockerEngine("unix:///nowhere.sock", tmp_path)) as silent,
        pytest.raises(OutsideError) as caught,
    ):
        asyncio.run(lines(silent, "0" * 64))
    assert caught.value.code == "engine-unreachable"
