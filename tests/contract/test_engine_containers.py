"""Containers as every engine lists, inspects and changes them."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address, ip_network

import pytest

from events.kernel.errors import OutsideError
from projections.engine.errors import ENGINE_REFUSED
from tests.contract.engines import GONE, TRAPPING, WAIT_SECONDS, WRITING, Adapter, raised


def test_listing_shows_one_project_or_the_whole_engine_sorted_by_name(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={}, db={}), ["web", "db"])
        project = await adapter.engine.containers(adapter.compose_project)
        everything = await adapter.engine.containers()
        assert [found.service for found in project] == ["db", "web"]
        assert {found.id for found in project} <= {found.id for found in everything}
        assert [found.name for found in everything] == sorted(found.name for found in everything)
        assert await adapter.engine.containers(f"{adapter.compose_project}-not") == []

    asyncio.run(run())


def test_inspection_agrees_with_the_listing(adapter: Adapter) -> None:
    async def run() -> None:
        published = {"target": 8080, "protocol": "tcp", "mode": "ingress"}  # on a port of the engine's choice
        await adapter.engine.up(adapter.app(web={"ports": [published]}), ["web"])
        listed = await adapter.only()
        detail = await adapter.engine.inspect(listed.id)
        assert detail is not None
        assert detail.container == listed
        assert {port.protocol for port in listed.ports} == {"tcp"}
        assert not detail.health_check
        assert (detail.restart_policy, detail.restart_count, detail.oom_killed) == ("no", 0, False)
        assert await adapter.engine.inspect(GONE) is None

    asyncio.run(run())


def test_where_a_container_can_be_found_is_told_as_long_as_it_runs(adapter: Adapter) -> None:
    async def run() -> None:
        here = {"host_ip": "127.0.0.1", "protocol": "tcp", "mode": "ingress"}
        ports = [{**here, "target": 8080}, {**here, "target": 8099}]
        await adapter.engine.up(adapter.app(web={"ports": ports}), ["web"])
        listed = await adapter.only()
        assert {(port.address, port.target) for port in listed.ports} == {
            ("127.0.0.1", 8080),
            ("127.0.0.1", 8099),
        }
        assert len({port.port for port in listed.ports}) == 2
        detail = await adapter.engine.inspect(listed.id)
        assert detail is not None
        assert detail.pid > 0
        (end,) = detail.attachments
        assert end.network == f"{adapter.compose_project}_default"
        inside = ip_network(f"{end.address}/{end.prefix}", strict=False)
        assert ip_address(end.gateway) in inside
        assert end.gateway != end.address
        await adapter.engine.stop(listed.id)
        stopped = await adapter.engine.inspect(listed.id)
        assert stopped is not None
        assert (stopped.pid, stopped.attachments, stopped.container.ports) == (0, (), ())

    asyncio.run(run())


def test_a_health_check_shows_in_listing_and_inspection(adapter: Adapter) -> None:
    async def run() -> None:
        app = adapter.app(good={"image": adapter.healthy}, bad={"image": adapter.sick})
        await adapter.engine.up(app, ["good", "bad"])

        async def decided() -> bool:
            found = await adapter.found()
            return (found["good-1"].health, found["bad-1"].health) == ("healthy", "unhealthy")

        await adapter.eventually("one healthy, one unhealthy", decided)
        good = await adapter.engine.inspect((await adapter.found())["good-1"].id)
        bad = await adapter.engine.inspect((await adapter.found())["bad-1"].id)
        assert good is not None
        assert bad is not None
        assert (good.health_check, good.health_failing_streak) == (True, 0)
        assert (bad.health_check, bad.container.health) == (True, "unhealthy")
        assert bad.health_failing_streak >= 3
        assert bad.health_output == "the database does not answer"
        assert bad.health_budget_seconds == pytest.approx(6.6)

    asyncio.run(run())


def test_logs_are_the_last_lines(adapter: Adapter) -> None:
    async def run() -> None:
        script = ["sh", "-c", "echo one; echo two; echo three >&2"]
        app = adapter.app(job={"command": script})
        container = await adapter.engine.run_job(app, "job")
        await adapter.engine.wait(container, deadline_seconds=WAIT_SECONDS)
        assert sorted(await adapter.engine.logs(container, tail=10)) == ["one", "three", "two"]
        assert len(await adapter.engine.logs(container, tail=2)) == 2
        assert await adapter.engine.logs(container, tail=0) == ()
        assert await adapter.engine.logs(GONE, tail=10) == ()

    asyncio.run(run())


def test_what_a_container_changed_in_its_files_is_told(adapter: Adapter) -> None:
    async def run() -> None:
        app = adapter.app(job={"command": list(WRITING)})
        container = await adapter.engine.run_job(app, "job")
        await adapter.engine.wait(container, deadline_seconds=WAIT_SECONDS)
        changes = await adapter.engine.changes(container)
        assert "A /tmp/core" in changes
        assert changes == tuple(sorted(changes))
        assert await adapter.engine.changes(GONE) == ()

    asyncio.run(run())


def test_stop_start_and_remove_can_be_repeated(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={}), ["web"])
        container = await adapter.only()
        for act, state in ((adapter.engine.stop, "exited"), (adapter.engine.start, "running")):
            await act(container.id)
            await act(container.id)
            assert (await adapter.only()).state == state
        await adapter.engine.remove(container.id)
        await adapter.engine.remove(container.id)
        await adapter.engine.stop(container.id)
        assert await adapter.engine.containers(adapter.compose_project) == []

    asyncio.run(run())


def test_a_signal_reaches_what_runs_once_and_nothing_else(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={"command": TRAPPING}), ["web"])
        container = (await adapter.only()).id

        async def printed(line: str) -> bool:
            return line in await adapter.engine.logs(container, tail=10)

        await adapter.eventually("the trap", lambda: printed("up"))
        assert await adapter.engine.signal(container, "SIGHUP")
        await adapter.eventually("a word of it", lambda: printed("told"))
        assert (await adapter.engine.logs(container, tail=10)).count("told") == 1
        assert await adapter.engine.signal(container, "SIGUSR1")
        assert await adapter.engine.wait(container, deadline_seconds=WAIT_SECONDS) == 7
        assert not await adapter.engine.signal(container, "SIGHUP")
        assert not await adapter.engine.signal(GONE, "SIGHUP")
        assert await adapter.engine.logs(container, tail=10) == ("up", "told")

    asyncio.run(run())


def test_a_signal_that_no_engine_knows_is_refused(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={}), ["web"])
        container = await adapter.only()
        error = await raised(OutsideError, adapter.engine.signal(container.id, "SIGNOT"))
        assert error.code == ENGINE_REFUSED
        assert "SIGNOT" in error.message
        assert await adapter.only() == container

    asyncio.run(run())


def test_starting_what_is_gone_is_refused(adapter: Adapter) -> None:
    error = asyncio.run(raised(OutsideError, adapter.engine.start(GONE)))
    assert error.code == ENGINE_REFUSED
    assert GONE in error.message


def test_rename_gives_another_name_unless_it_is_taken(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={}, db={}), ["web", "db"])
        found = await adapter.found()
        error = await raised(OutsideError, adapter.engine.rename(found["web-1"].id, found["db-1"].name))
        assert error.code == ENGINE_REFUSED
        assert "in use" in error.why
        await adapter.engine.rename(found["web-1"].id, f"{adapter.compose_project}-other")
        assert (await adapter.found())["other"].id == found["web-1"].id

    asyncio.run(run())


def test_wait_gives_up_at_its_deadline_and_leaves_the_container(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={}), ["web"])
        container = await adapter.only()
        error = await raised(OutsideError, adapter.engine.wait(container.id, deadline_seconds=0.2))
        assert error.code == "process-timed-out"
        assert await adapter.only() == container

    asyncio.run(run())


def test_waiting_for_what_is_gone_is_refused(adapter: Adapter) -> None:
    error = asyncio.run(raised(OutsideError, adapter.engine.wait(GONE, deadline_seconds=5)))
    assert error.code == ENGINE_REFUSED


def test_a_container_that_ends_and_is_started_again_shows_how_often(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={"image": adapter.failing, "restart": "always"}), ["web"])
        container = (await adapter.only()).id

        async def again() -> bool:
            detail = await adapter.engine.inspect(container)
            return detail is not None and detail.restart_count >= 2

        await adapter.eventually("two restarts", again)
        detail = await adapter.engine.inspect(container)
        assert detail is not None
        assert detail.restart_policy == "always"
        assert detail.container.state in {"restarting", "running"}
        await adapter.engine.stop(container)
        assert (await adapter.only()).state == "exited"

    asyncio.run(run())


def test_what_ended_by_itself_keeps_its_exit_code_and_its_last_words(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={"image": adapter.failing}), ["web"])
        container = (await adapter.only()).id
        assert await adapter.engine.wait(container, deadline_seconds=WAIT_SECONDS) == 4
        detail = await adapter.engine.inspect(container)
        assert detail is not None
        assert (detail.container.state, detail.exit_code, detail.error) == ("exited", 4, "")
        assert await adapter.engine.logs(container, tail=5) == ("cannot open the database",)

    asyncio.run(run())
