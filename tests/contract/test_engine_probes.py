"""Probes of containers on every engine."""

from __future__ import annotations

import asyncio

import pytest

from events.kernel.errors import OutsideError
from events.manifest import CommandProbe, HttpProbe, Probe, TcpProbe
from projections.engine.errors import ENGINE_UNREACHABLE
from projections.engine.port import ProbeAnswer
from tests.contract.engines import GONE, NO_DATABASE, Adapter, raised

PATIENCE_SECONDS = 20.0
CLOSED_PORT = 81


def get(path: str = "/", port: int = 8080, *, first: int = 200, last: int = 399) -> HttpProbe:
    return HttpProbe(port=port, path=path, first_status=first, last_status=last)


async def running(adapter: Adapter, **more: object) -> str:
    """A steady container that takes connections."""
    await adapter.engine.up(adapter.app(web=more), ["web"])
    container = (await adapter.only()).id

    async def open_by_now() -> bool:
        return (await ask(adapter, container, TcpProbe(port=8080))).passed

    await adapter.eventually("the port to be open", open_by_now)
    return container


async def ask(
    adapter: Adapter, container: str, probe: Probe, *, seconds: float = PATIENCE_SECONDS
) -> ProbeAnswer:
    return await adapter.engine.probe(container, probe, deadline_seconds=seconds)


def test_a_status_in_the_range_passes(adapter: Adapter) -> None:
    async def run() -> None:
        container = await running(adapter)
        answer = await ask(adapter, container, get())
        assert answer == ProbeAnswer(passed=True, said="GET http://localhost:8080/ answered 200 OK")
        assert (await ask(adapter, container, get("/none", first=404, last=404))).passed

    asyncio.run(run())


def test_a_status_out_of_the_range_fails_with_what_it_says(adapter: Adapter) -> None:
    async def run() -> None:
        container = await running(adapter)
        answer = await ask(adapter, container, get("/none"))
        assert not answer.passed
        assert answer.said.startswith("GET http://localhost:8080/none answered 404 Not Found: <HTML>")
        assert not (await ask(adapter, container, get(first=201, last=299))).passed

    asyncio.run(run())


@pytest.mark.parametrize("probe", [TcpProbe(port=CLOSED_PORT), get(port=CLOSED_PORT)])
def test_a_port_where_nobody_listens_fails(adapter: Adapter, probe: Probe) -> None:
    async def run() -> None:
        answer = await ask(adapter, await running(adapter), probe)
        assert not answer.passed
        assert answer.said.endswith(": Connection refused")
        assert str(CLOSED_PORT) in answer.said

    asyncio.run(run())


def test_a_program_passes_by_its_exit_code_and_a_failed_one_is_quoted(adapter: Adapter) -> None:
    async def run() -> None:
        container = await running(adapter)
        good = await ask(adapter, container, CommandProbe(command=("true",)))
        assert good == ProbeAnswer(passed=True, said="true ended with exit code 0")
        bad = await ask(adapter, container, CommandProbe(command=NO_DATABASE))
        assert not bad.passed
        assert bad.said.endswith("ended with exit code 3: no database")

    asyncio.run(run())


def test_a_program_that_the_image_does_not_have_fails(adapter: Adapter) -> None:
    async def run() -> None:
        answer = await ask(adapter, await running(adapter), CommandProbe(command=("pg_isready", "-q")))
        assert not answer.passed
        assert answer.said.startswith("pg_isready -q")
        assert "executable file not found" in answer.said

    asyncio.run(run())


def test_a_program_that_hangs_fails_in_time_and_keeps_no_other_from_running(adapter: Adapter) -> None:
    async def run() -> None:
        container = await running(adapter)
        answer = await ask(adapter, container, CommandProbe(command=("sleep", "600")), seconds=0.5)
        assert answer == ProbeAnswer(passed=False, said="sleep 600: no answer in 0.5 s")

        async def asked_again() -> bool:
            return (await ask(adapter, container, CommandProbe(command=("true",)))).passed

        await adapter.eventually("another program to run", asked_again)

    asyncio.run(run())


@pytest.mark.parametrize("probe", [TcpProbe(port=8080), get(), CommandProbe(command=("true",))])
def test_a_container_that_does_not_run_or_is_gone_fails(adapter: Adapter, probe: Probe) -> None:
    async def run() -> None:
        container = await running(adapter)
        await adapter.engine.stop(container)
        assert not (await ask(adapter, container, probe)).passed
        assert (await ask(adapter, GONE, probe)).said.endswith("the container is gone")

    asyncio.run(run())


def test_a_container_without_a_network_has_nothing_to_be_asked_at(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={"network_mode": "none"}), ["web"])
        container = (await adapter.only()).id
        assert (await ask(adapter, container, get())).said.endswith("the container is on no network")
        assert (await ask(adapter, container, CommandProbe(command=("true",)))).passed

    asyncio.run(run())


@pytest.mark.parametrize("probe", [TcpProbe(port=8080), get(), CommandProbe(command=("true",))])
def test_an_engine_that_does_not_answer_is_unreachable(adapter: Adapter, probe: Probe) -> None:
    async def run() -> None:
        error = await raised(OutsideError, adapter.silent.probe(GONE, probe, deadline_seconds=1.0))
        assert error.code == ENGINE_UNREACHABLE

    asyncio.run(run())


def test_a_log_can_be_read_from_a_moment_on(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(
            adapter.app(web={"command": ["sh", "-c", "echo one; echo two; echo three >&2"]}), ["web"]
        )
        container = (await adapter.only()).id

        async def said() -> bool:
            return len(await adapter.engine.logs(container, tail=5)) == 3

        await adapter.eventually("three lines", said)
        now = adapter.clock.now().timestamp()
        assert set(await adapter.engine.logs(container, tail=5, since=now - 600)) == {"one", "two", "three"}
        await adapter.clock.sleep(0.01)
        assert await adapter.engine.logs(container, tail=5, since=adapter.clock.now().timestamp()) == ()

    asyncio.run(run())
