"""Runs of jobs on every engine."""

from __future__ import annotations

import asyncio

import pytest

from events.kernel.errors import OutsideError
from projections.engine.errors import COMPOSE_FAILED
from tests.contract.engines import WAIT_SECONDS, Adapter, ours, raised


@pytest.mark.parametrize(
    ("kind", "code", "line"),
    [("succeeding", 0, "job v1 ran"), ("failing", 4, "cannot open the database")],
)
def test_a_job_runs_once_and_its_container_stays(adapter: Adapter, kind: str, code: int, line: str) -> None:
    async def run() -> None:
        app = adapter.app(job={"image": getattr(adapter, kind), "restart": "always"})
        container = await adapter.engine.run_job(app, "job")
        assert await adapter.engine.wait(container, deadline_seconds=WAIT_SECONDS) == code
        kept = await adapter.only()
        assert (kept.id, kept.state, kept.one_off) == (container, "exited", True)
        assert ours("job").items() <= kept.labels.items()
        assert await adapter.engine.logs(container, tail=5) == (line,)

    asyncio.run(run())


def test_a_job_that_reads_its_input_comes_to_an_end(adapter: Adapter) -> None:
    async def run() -> None:
        container = await adapter.engine.run_job(adapter.app(job={"command": ["cat"]}), "job")
        assert await adapter.engine.wait(container, deadline_seconds=WAIT_SECONDS) == 0

    asyncio.run(run())


def test_a_job_that_cannot_start_is_answered_with_the_engines_words(adapter: Adapter) -> None:
    async def run() -> None:
        container = await adapter.engine.run_job(adapter.app(job={"command": ["/bin/nothing"]}), "job")
        assert await adapter.engine.wait(container, deadline_seconds=WAIT_SECONDS) != 0
        detail = await adapter.engine.inspect(container)
        assert detail is not None
        assert "/bin/nothing" in detail.error
        assert detail.container.state == "created"

    asyncio.run(run())


def test_a_job_without_an_image_fails_and_leaves_nothing(adapter: Adapter) -> None:
    async def run() -> None:
        call = adapter.engine.run_job(adapter.app(job={"image": adapter.absent}), "job")
        error = await raised(OutsideError, call)
        assert error.code == COMPOSE_FAILED
        assert "No such image" in error.why
        assert await adapter.engine.containers(adapter.compose_project) == []

    asyncio.run(run())


def test_a_finished_job_is_nothing_to_up(adapter: Adapter) -> None:
    async def run() -> None:
        app = adapter.app(job={"image": adapter.succeeding}, web={})
        container = await adapter.engine.run_job(app, "job")
        await adapter.engine.wait(container, deadline_seconds=WAIT_SECONDS)
        await adapter.engine.up(app, ["web"])
        found = {name: one.one_off for name, one in (await adapter.found()).items()}
        assert sorted(found.values()) == [False, True]

    asyncio.run(run())
