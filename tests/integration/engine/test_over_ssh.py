"""A person's programs and logs of an engine that is reached over SSH: streams, their ends, exit codes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest
from docker.client import DockerClient

from projections.engine.docker import DockerEngine
from projections.engine.programs import WindowSize
from projections.transport.ssh import SshTransport
from projections.transport.ssh_loop import SshLoop
from tests.support.cleanup import PROJECT_LABEL, EngineProject
from tests.support.host_ssh import ssh_host
from tests.support.images import TestImages

_SECONDS = 60
_TALK = 'echo ready; while read -r line; do echo "got $line"; done; echo end >&2; exit 7'


@pytest.fixture
def far(tmp_path: Path) -> Iterator[DockerEngine]:
    """The machine's engine by way of an SSH server on it."""
    loop = SshLoop()
    try:
        with ssh_host(tmp_path / "host") as host:
            transport = SshTransport("app-1", host.settings, loop=loop)
            door = transport.engine_door(tmp_path / "doors")
            with closing(transport), closing(door), closing(DockerEngine(None, tmp_path, door=door)) as made:
                yield made
    finally:
        loop.close()


def test_programs_and_logs_are_as_on_this_machine(
    far: DockerEngine, engine: DockerClient, engine_project: EngineProject, images: TestImages
) -> None:
    labels = {PROJECT_LABEL: f"{engine_project.name}-prod"}
    script = "echo up; sleep 1; echo on"
    server = engine.containers.run(images.web(), detach=True, labels=labels).id or ""
    writer = (
        engine.containers.run(images.job(), ["/bin/sh", "-c", script], detach=True, labels=labels).id or ""
    )

    async def story() -> None:
        program = await far.run_program(server, ["/bin/sh", "-c", _TALK])
        with closing(program):
            output, errors = b"", b""
            told = False
            while (written := await program.read()) is not None:
                output, errors = (
                    (output, errors + written.content)
                    if written.error
                    else (output + written.content, errors)
                )
                if not told and output.startswith(b"ready\n"):
                    told = True
                    await program.write(b"one\ntwo\n")
                    await program.end_input()
            assert (output, errors) == (b"ready\ngot one\ngot two\n", b"end\n")
            assert await program.exit_code() == 7
        with closing(
            await far.run_program(server, ["/bin/sh", "-c", "tty"], terminal=WindowSize(columns=9, rows=9))
        ) as at_terminal:
            written = await at_terminal.read()
            assert written is not None
            assert written.content.startswith(b"/dev/pts/")
        async with aclosing(far.follow_logs(writer)) as lines:
            assert [line.text async for line in lines] == ["up", "on"]

    async def in_time() -> None:
        async with asyncio.timeout(_SECONDS):
            await story()

    asyncio.run(in_time())
