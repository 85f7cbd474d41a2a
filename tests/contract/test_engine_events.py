"""What every engine tells whoever watches it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from events.kernel.errors import OutsideError
from projections.engine.errors import ENGINE_UNREACHABLE
from projections.engine.watch_port import EngineEvent
from tests.contract.engines import WAIT_SECONDS, Adapter, raised


async def first(
    action: str, events: AsyncGenerator[EngineEvent], *, environment: str = "shop/prod"
) -> EngineEvent:
    """The first hint of an action in an environment; an engine also tells what the test before still did."""
    async with asyncio.timeout(WAIT_SECONDS):
        async for event in events:
            if event.action == action and event.environment == environment:
                return event
    raise AssertionError("the watch came to an end")


def test_a_watch_first_says_that_it_listens_and_then_what_happened_to_ours(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={}), ["web"])
        container = (await adapter.only()).id
        async with contextlib.aclosing(adapter.watch.watch()) as events:
            assert await anext(events) == EngineEvent()
            await adapter.engine.remove(container)
            event = await first("destroy", events)
            assert (event.environment, event.service) == ("shop/prod", "web")

    asyncio.run(run())


def test_a_watch_tells_of_a_container_that_ended_by_itself(adapter: Adapter) -> None:
    async def run() -> None:
        async with contextlib.aclosing(adapter.watch.watch()) as events:
            await anext(events)
            await adapter.engine.up(adapter.app(web={"image": adapter.failing}), ["web"])
            event = await first("die", events)
            assert (event.environment, event.service) == ("shop/prod", "web")

    asyncio.run(run())


def test_a_watch_tells_of_what_compose_made_for_others_by_id(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={"labels": {}}), ["web"])
        container = (await adapter.only()).id
        async with contextlib.aclosing(adapter.watch.watch()) as events:
            await anext(events)
            await adapter.engine.remove(container)
            event = await first("destroy", events, environment="")
            assert event.container == container

    asyncio.run(run())


def test_a_watch_of_an_engine_that_does_not_answer_ends_with_that(adapter: Adapter) -> None:
    async def run() -> None:
        async with contextlib.aclosing(adapter.silent_watch.watch()) as events:
            error = await raised(OutsideError, anext(events))
            assert error.code == ENGINE_UNREACHABLE

    asyncio.run(run())
