"""Who answers, and what it means when nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from events.kernel.errors import OutsideError
from projections.engine.errors import ENGINE_UNREACHABLE
from projections.engine.port import App, Engine
from tests.contract.engines import GONE, Adapter, raised


def test_says_twice_that_it_is_the_same_engine(adapter: Adapter) -> None:
    async def run() -> None:
        first, second = await adapter.engine.identity(), await adapter.engine.identity()
        assert first == second
        assert all((first.machine, first.engine, first.engine_version, first.api_version))

    asyncio.run(run())


CALLS: dict[str, Callable[[Engine, App], Awaitable[object]]] = {
    "identity": lambda engine, _: engine.identity(),
    "containers": lambda engine, _: engine.containers(),
    "inspect": lambda engine, _: engine.inspect(GONE),
    "image": lambda engine, _: engine.image("x:1"),
    "registry_digest": lambda engine, _: engine.registry_digest("127.0.0.1:9/x:1"),
    "pull": lambda engine, _: engine.pull("127.0.0.1:9/x:1"),
    "tag": lambda engine, _: engine.tag(f"sha256:{GONE}", "x:1"),
    "logs": lambda engine, _: engine.logs(GONE, tail=1),
    "changes": lambda engine, _: engine.changes(GONE),
    "start": lambda engine, _: engine.start(GONE),
    "stop": lambda engine, _: engine.stop(GONE),
    "signal": lambda engine, _: engine.signal(GONE, "SIGHUP"),
    "remove": lambda engine, _: engine.remove(GONE),
    "rename": lambda engine, _: engine.rename(GONE, "x"),
    "wait": lambda engine, _: engine.wait(GONE, deadline_seconds=1),
    "predict": lambda engine, app: engine.predict(app, ["web"]),
    "grounds": lambda engine, app: engine.grounds(app),
    "up": lambda engine, app: engine.up(app, ["web"]),
    "run_job": lambda engine, app: engine.run_job(app, "web"),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_engine_that_does_not_answer_is_unreachable_and_never_empty(adapter: Adapter, name: str) -> None:
    call = CALLS[name]
    error = asyncio.run(raised(OutsideError, call(adapter.silent, adapter.app(web={}))))
    assert error.code == ENGINE_UNREACHABLE
    assert error.why
    assert error.next
