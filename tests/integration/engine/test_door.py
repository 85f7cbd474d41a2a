"""A real engine behind a real SSH server: one story with all that its door is for, and how it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import tempfile
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from events.kernel.clock import SystemClock
from events.kernel.errors import OutsideError
from events.manifest import HttpProbe
from projections.engine.address import EngineAddress
from projections.engine.docker import DockerEngine
from projections.engine.errors import ENGINE_UNREACHABLE
from projections.engine.port import App
from projections.engine.waiting import until
from projections.transport.port import HOST_UNREACHABLE
from projections.transport.ssh import SshTransport
from projections.transport.ssh_door import SshEngineDoor
from tests.contract.engines import ours, raised
from tests.contract.hosts import SECONDS, reached
from tests.support.cleanup import EngineProject
from tests.support.host_ssh import SshHost, ssh_host
from tests.support.images import TestImages

SOCKET = PurePosixPath("/var/run/docker.sock")


class Stage:
    """An engine, the door that leads to it, and the server behind which they are."""

    def __init__(self, server: SshHost, transport: SshTransport, folder: Path) -> None:
        self.server = server
        self.transport = transport
        self.door = transport.engine_door(folder / "hosts")
        self.engine = DockerEngine(None, folder / "run", door=self.door)

    def close(self) -> None:
        self.engine.close()
        self.door.close()


@contextlib.contextmanager
def staged(folder: Path, *, socket_path: PurePosixPath = SOCKET, **options: str) -> Generator[Stage]:
    with ssh_host(folder / "sshd", **options) as server:
        settings = replace(server.settings, engine_socket=socket_path)
        with reached(settings) as transport:
            stage = Stage(server, transport, folder)
            try:
                yield stage
            finally:
                stage.close()


@pytest.mark.engine
def test_an_engine_behind_a_door_is_used_as_one_here(
    engine_project: EngineProject, images: TestImages, tmp_path: Path
) -> None:
    name = f"{engine_project.name}-prod"
    service = {"image": images.web(), "labels": ours("web")}
    app = App(compose_project=name, document={"services": {"web": service}})

    async def story(stage: Stage) -> None:
        engine = stage.engine
        assert not engine.local
        identity = await engine.identity()
        assert identity.machine == EngineAddress(url=f"unix://{SOCKET}").machine(name=socket.gethostname())
        async with contextlib.aclosing(engine.watch()) as events:
            await anext(events)
            await engine.up(app, ["web"])
            async with asyncio.timeout(SECONDS):
                while (await anext(events)).service != "web":
                    pass
        (container,) = await engine.containers(name)
        detail = await engine.inspect(container.id)
        assert detail is not None
        assert detail.container.state == "running"
        probe = HttpProbe(port=8080, path="/", first_status=200, last_status=299)

        async def answers() -> bool | None:
            return (await engine.probe(container.id, probe, deadline_seconds=SECONDS)).passed or None

        assert await until(answers, clock=SystemClock(), seconds=SECONDS)
        stage.server.cut()
        await stage.transport.files.missing([SOCKET])
        assert await engine.inspect(container.id) is not None  # the way broke, the engine did not
        assert [found.id for found in await engine.containers(name)] == [container.id]
        assert stage.transport.connections_made == 2

    with staged(tmp_path) as stage:
        asyncio.run(story(stage))


@pytest.mark.engine
def test_where_the_server_forwards_no_socket_dockers_client_carries_the_bytes(
    engine: object, tmp_path: Path
) -> None:
    del engine

    async def story(stage: Stage) -> None:
        async with contextlib.aclosing(stage.engine.watch()) as events:
            await anext(events)
            found = await asyncio.gather(*(stage.engine.containers() for _ in range(12)))
        assert all(listing == found[0] for listing in found)
        assert stage.door.trouble == ""

    with staged(tmp_path, AllowStreamLocalForwarding="no", MaxSessions="10") as stage:
        asyncio.run(story(stage))


@pytest.mark.engine
def test_where_the_account_may_not_use_the_engine_it_is_asked_through_a_stand_in_for_sudo(
    engine: object, tmp_path: Path
) -> None:
    del engine
    asked, client = tmp_path / "asked", shutil.which("docker")
    programs = {
        "docker": "echo permission denied >&2; exit 1",
        "sudo": f'[ "$1 $2" = "-n docker" ] || exit 9; shift 2; touch {asked}; exec {client} "$@"',
    }
    for name, text in programs.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)

    path = f"PATH={tmp_path}/bin:/usr/bin:/bin"
    with staged(tmp_path, AllowStreamLocalForwarding="no", SetEnv=path) as stage:
        asyncio.run(stage.engine.containers())
        assert asked.exists()


def test_a_machine_that_does_not_answer_is_that_and_no_silent_engine(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        stage.server.kill()
        error = asyncio.run(raised(OutsideError, stage.engine.containers()))
        assert error.code == HOST_UNREACHABLE
        error = asyncio.run(raised(OutsideError, stage.engine.inspect("0" * 64)))
        assert error.code == HOST_UNREACHABLE


def test_a_machine_that_is_lost_while_its_engine_is_asked_is_that_too(tmp_path: Path) -> None:
    async def story(stage: Stage, hung: socket.socket) -> None:
        asked = asyncio.create_task(stage.engine.containers())
        taken, _ = await asyncio.to_thread(hung.accept)
        with taken:
            stage.server.kill()
            error = await raised(OutsideError, asked)
        assert error.code == HOST_UNREACHABLE

    path = tmp_path / "engine"
    with socket.socket(socket.AF_UNIX) as hung, staged(tmp_path, socket_path=PurePosixPath(path)) as stage:
        hung.bind(str(path))
        hung.listen()
        hung.settimeout(SECONDS)
        asyncio.run(story(stage, hung))


def test_an_engine_that_does_not_run_on_a_machine_that_answers_is_told_apart(tmp_path: Path) -> None:
    nowhere = PurePosixPath(tmp_path / "no engine")
    with staged(tmp_path, socket_path=nowhere) as stage:
        error = asyncio.run(raised(OutsideError, stage.engine.containers()))
    assert error.code == ENGINE_UNREACHABLE
    assert str(nowhere) in error.why


def test_the_engines_socket_is_private_and_goes_with_the_door(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        asyncio.run(stage.door.open())
        path = Path(stage.door.url.removeprefix("unix://"))
        assert path.is_socket()
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.exists()


def test_a_folder_too_deep_for_a_socket_is_replaced_by_a_short_one(tmp_path: Path) -> None:
    with ssh_host(tmp_path / "sshd") as server, reached(server.settings) as transport:
        door: SshEngineDoor = transport.engine_door(tmp_path / ("deep" * 30))
        path = Path(door.url.removeprefix("unix://"))
        try:
            asyncio.run(door.open())
            assert path.is_socket()
            assert path.is_relative_to(tempfile.gettempdir())
            assert path.parent.stat().st_mode & 0o777 == 0o700
        finally:
            door.close()
        assert not path.parent.exists()
