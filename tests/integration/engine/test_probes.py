"""Probes on a real engine: whose address is asked, and what becomes of a program that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import pytest
from docker.client import DockerClient

from events.kernel.errors import UserError
from events.manifest import CommandProbe, TcpProbe
from projections.engine.docker import DockerEngine
from tests.integration.engine.conftest import Apps
from tests.support.processes import free_port

PATIENCE_SECONDS = 20.0
HANGING = CommandProbe(command=("sh", "-c", "sleep 1000; true"))  # a shell with a child


async def asked(docker: DockerEngine, container: str, port: int) -> bool:
    """Whether somebody listens there within a while."""
    over_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < over_at:
        answer = await docker.probe(container, TcpProbe(port=port), deadline_seconds=PATIENCE_SECONDS)
        if answer.passed:
            return True
        await asyncio.sleep(0.05)
    return False


def test_one_in_the_hosts_network_and_one_in_anothers_are_asked_where_they_are(
    docker: DockerEngine, apps: Apps
) -> None:
    port = free_port()
    app = apps(
        web={},
        guest={"network_mode": "service:web", "command": ["sleep", "1000"], "stop_grace_period": "0s"},
        host={"network_mode": "host", "command": ["httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", "/www"]},
    )

    async def run() -> None:
        await docker.up(app, ["web", "guest", "host"])
        found = await apps.found(docker)
        assert await asked(docker, found["guest-1"].id, 8080)
        assert await asked(docker, found["host-1"].id, port)

    asyncio.run(run())


def test_one_on_several_networks_is_asked_on_whichever_answers(docker: DockerEngine, apps: Apps) -> None:
    top = {"networks": {"front": {"internal": True}, "back": {}}}
    app = apps(top, web={"networks": {"front": None, "back": None}})

    async def run() -> None:
        await docker.up(app, ["web"])
        assert await asked(docker, (await apps.found(docker))["web-1"].id, 8080)

    asyncio.run(run())


def test_a_program_that_hangs_is_ended_with_its_children(
    docker: DockerEngine, apps: Apps, engine: DockerClient
) -> None:
    async def run() -> str:
        await docker.up(apps(web={}), ["web"])
        container = (await apps.found(docker))["web-1"].id
        answer = await docker.probe(container, HANGING, deadline_seconds=0.5)
        assert answer.said.endswith(": no answer in 0.5 s")
        return container

    container = asyncio.run(run())
    over_at = time.monotonic() + PATIENCE_SECONDS
    while "sleep 1000" in str(engine.containers.get(container).top()):
        assert time.monotonic() < over_at, "the program is still there"
        time.sleep(0.05)
    assert engine.containers.get(container).status == "running"


def test_a_question_that_is_given_up_leaves_no_program(
    docker: DockerEngine, apps: Apps, engine: DockerClient
) -> None:
    async def run() -> str:
        await docker.up(apps(web={}), ["web"])
        container = (await apps.found(docker))["web-1"].id
        question = asyncio.create_task(docker.probe(container, HANGING, deadline_seconds=1000.0))
        while "sleep 1000" not in str(engine.containers.get(container).top()):  # noqa: ASYNC110  # no event for it
            await asyncio.sleep(0.05)
        question.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await question
        return container

    container = asyncio.run(run())
    over_at = time.monotonic() + PATIENCE_SECONDS
    while "sleep 1000" in str(engine.containers.get(container).top()):
        assert time.monotonic() < over_at, "the program is still there"
        time.sleep(0.05)


def test_an_engine_elsewhere_is_told_to_run_a_command_instead(tmp_path: Path) -> None:
    engine = DockerEngine("tcp://192.0.2.1:2376", tmp_path / "run")
    with contextlib.closing(engine), pytest.raises(UserError) as caught:
        asyncio.run(engine.probe("a" * 64, TcpProbe(port=80), deadline_seconds=1.0))
    assert caught.value.code == "probe-impossible"
    assert "gate.command" in caught.value.next
