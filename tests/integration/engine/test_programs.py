"""Programs in a container of the real engine: streams both ways, arguments, terminals, how they end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from docker.client import DockerClient

from events.kernel.errors import OutsideError
from projections.engine.docker import DockerEngine
from projections.engine.programs import RunningProgram, WindowSize
from tests.support.cleanup import PROJECT_LABEL, EngineProject
from tests.support.images import TestImages
from tests.support.processes import wait_until

_SECONDS = 60


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[DockerEngine]:
    with closing(DockerEngine(None, tmp_path / "run")) as made:
        yield made


@pytest.fixture
def server(engine: DockerClient, engine_project: EngineProject, images: TestImages) -> str:
    """A container that runs."""
    labels = {PROJECT_LABEL: f"{engine_project.name}-prod"}
    return engine.containers.run(images.web(), detach=True, labels=labels).id or ""


def ran(
    docker: DockerEngine,
    container: str,
    *argv: str,
    stdin: bytes = b"",
    terminal: WindowSize | None = None,
) -> tuple[int, bytes, bytes]:
    """Exit code, output and errors."""

    async def run() -> tuple[int, bytes, bytes]:
        output, errors = b"", b""
        async with asyncio.timeout(_SECONDS):
            program = await docker.run_program(container, argv, terminal=terminal)
            with closing(program):
                writing = asyncio.create_task(feed(program))
                while (written := await program.read()) is not None:
                    if written.error:
                        errors += written.content
                    else:
                        output += written.content
                await writing
                return await program.exit_code(), output, errors

    async def feed(program: RunningProgram) -> None:
        for start in range(0, len(stdin), 10_000):
            await program.write(stdin[start : start + 10_000])
        if terminal is None:
            await program.end_input()

    return asyncio.run(run())


def shell(docker: DockerEngine, container: str, script: str, *arguments: str) -> tuple[int, bytes, bytes]:
    return ran(docker, container, "/bin/sh", "-c", script, "sh", *arguments)


def test_streams_stay_apart_and_the_exit_code_is_the_program_s(docker: DockerEngine, server: str) -> None:
    assert shell(docker, server, "echo out; echo err >&2; exit 7") == (7, b"out\n", b"err\n")


ODD: Sequence[str] = ("a b", "", "$(id)", "`id`", "'single'", '"double"', "$HOME", "a\nb", "*", "--", "ä\\")


def test_each_argument_arrives_as_it_is(docker: DockerEngine, server: str) -> None:
    code, output, _ = shell(docker, server, 'for one in "$@"; do printf "<%s>" "$one"; done', *ODD)
    assert (code, output.decode()) == (0, "".join(f"<{one}>" for one in ODD))


def test_input_goes_there_and_back_whole_and_its_end_is_seen(docker: DockerEngine, server: str) -> None:
    content = bytes(range(256)) * 4000
    assert ran(docker, server, "/bin/cat", stdin=content) == (0, content, b"")


def test_a_short_answer_is_never_lost(docker: DockerEngine, server: str) -> None:
    assert {shell(docker, server, "printf x") for _ in range(30)} == {(0, b"x", b"")}


def test_a_program_has_a_terminal_when_it_is_given_one(docker: DockerEngine, server: str) -> None:
    size = WindowSize(columns=99, rows=33)
    code, output, _ = ran(docker, server, "/bin/sh", "-c", "tty; exit 3", terminal=size)
    assert code == 3
    assert output.startswith(b"/dev/pts/")


def test_a_program_that_cannot_be_started_answers_126_with_the_engine_s_words(
    docker: DockerEngine, server: str
) -> None:
    code, output, errors = ran(docker, server, "no-such-program")
    assert code in {126, 127}
    assert b"no-such-program" in output + errors


def test_a_container_that_is_gone_or_does_not_run_refuses(
    docker: DockerEngine, engine: DockerClient, server: str
) -> None:
    engine.containers.get(server).stop(timeout=0)
    for container in (server, "0" * 64):
        with pytest.raises(OutsideError) as caught:
            ran(docker, container, "/bin/true")
        assert caught.value.code == "engine-refused"


def test_whoever_goes_away_leaves_no_thread(docker: DockerEngine, server: str) -> None:
    async def leave() -> None:
        program = await docker.run_program(server, ["/bin/sh", "-c", "while :; do echo x; done"])
        assert await program.read() is not None
        program.close()

    asyncio.run(leave())
    wait_until(
        "the thread ends", lambda: not any(one.name == "engine-program" for one in threading.enumerate())
    )
