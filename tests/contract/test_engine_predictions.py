"""What every engine says `up` would do."""

from __future__ import annotations

import asyncio

from events.kernel.errors import UserError
from projections.engine.errors import COMPOSE_REFUSED
from projections.engine.port import App
from tests.contract.engines import Adapter, raised


def test_a_prediction_changes_nothing_and_comes_true(adapter: Adapter) -> None:
    async def run() -> None:
        first = await adapter.engine.predict(adapter.app(web={}, db={}), ["web", "db"])
        name = adapter.compose_project
        assert first.created == (f"{name}-db-1", f"{name}-web-1")
        assert (first.recreated, first.running, first.started) == ((), (), ())
        assert await adapter.engine.containers(name) == []

        await adapter.engine.up(adapter.app(web={}, db={}, cache={}), ["web", "db", "cache"])
        before = await adapter.found()
        await adapter.engine.stop(before["cache-1"].id)
        changed = adapter.app(web={"environment": {"A": "1"}}, db={}, cache={})
        second = await adapter.engine.predict(changed, ["web", "db", "cache"])
        assert second.recreated == (f"{name}-web-1",)
        assert second.running == (f"{name}-db-1",)
        assert second.started == (f"{name}-cache-1",)
        assert (second.created, second.removed, second.removed_networks) == ((), (), ())
        assert second.volume_question == ""
        assert (await adapter.found())["web-1"] == before["web-1"]

    asyncio.run(run())


def test_a_prediction_for_a_bad_document_is_the_users_fault(adapter: Adapter) -> None:
    async def run() -> None:
        for app, services in (
            (adapter.app(web={"imagee": "x"}), ["web"]),
            (adapter.app(web={}), ["wep"]),
            (App(compose_project=adapter.compose_project, document={"services": ["web"]}), ["web"]),
            (App(compose_project=adapter.compose_project, document={"services": {"web": "x"}}), ["web"]),
        ):
            error = await raised(UserError, adapter.engine.predict(app, services))
            assert error.code == COMPOSE_REFUSED
            assert error.why

    asyncio.run(run())


def test_a_prediction_for_no_services_is_empty(adapter: Adapter) -> None:
    prediction = asyncio.run(adapter.engine.predict(adapter.app(web={}), []))
    assert (prediction.created, prediction.messages) == ((), ())


def test_the_grounds_of_a_prediction_change_with_what_is_made_for_the_project_alone(adapter: Adapter) -> None:
    async def run() -> None:
        app, other = adapter.app(web={}), App(compose_project=f"{adapter.compose_project}x", document={})
        first = await adapter.engine.grounds(app)
        elsewhere = await adapter.engine.grounds(other)
        assert first == await adapter.engine.grounds(app)
        await adapter.engine.up(app, ["web"])
        assert await adapter.engine.grounds(app) != first
        assert await adapter.engine.grounds(other) == elsewhere

    asyncio.run(run())
