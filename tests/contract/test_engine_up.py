"""What `up` of every engine does, and what it leaves alone."""

from __future__ import annotations

import asyncio

from events.kernel.errors import OutsideError, UserError
from projections.engine.errors import COMPOSE_FAILED, COMPOSE_REFUSED
from tests.contract.engines import Adapter, ours, raised


def test_up_creates_only_what_is_named(adapter: Adapter) -> None:
    async def run() -> None:
        needs = {"depends_on": {"db": {"condition": "service_started", "required": True}}}
        await adapter.engine.up(adapter.app(web=needs, db={}), ["web"])
        container = await adapter.only()
        assert container.name == f"{adapter.compose_project}-web-1"
        assert len(container.id) == 64
        assert container.image == adapter.steady
        assert container.image_id == adapter.steady_id
        assert (container.state, container.health) == ("running", "none")
        assert container.networks == (f"{adapter.compose_project}_default",)
        assert ours("web").items() <= container.labels.items()
        assert (container.service, container.service_hash, container.one_off) == ("web", "hash-of-web", False)

    asyncio.run(run())


def test_up_of_no_services_does_nothing(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={}), [])
        assert await adapter.engine.containers(adapter.compose_project) == []

    asyncio.run(run())


def test_up_of_the_same_document_keeps_every_container(adapter: Adapter) -> None:
    async def run() -> None:
        app = adapter.app(web={}, db={})
        await adapter.engine.up(app, ["web", "db"])
        before = await adapter.found()
        await adapter.engine.up(app, ["db", "web"])
        assert await adapter.found() == before

    asyncio.run(run())


def test_up_recreates_the_changed_service_alone(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={}, db={}), ["web", "db"])
        before = await adapter.found()
        await adapter.engine.up(adapter.app(web={"environment": {"A": "1"}}, db={}), ["web", "db"])
        after = await adapter.found()
        assert after["db-1"].id == before["db-1"].id
        assert after["web-1"].id != before["web-1"].id
        assert {name: found.state for name, found in after.items()} == {"db-1": "running", "web-1": "running"}

    asyncio.run(run())


def test_up_starts_a_stopped_container_again(adapter: Adapter) -> None:
    async def run() -> None:
        app = adapter.app(web={})
        await adapter.engine.up(app, ["web"])
        before = await adapter.only()
        await adapter.engine.stop(before.id)
        await adapter.engine.up(app, ["web"])
        after = await adapter.only()
        assert (after.id, after.state) == (before.id, "running")

    asyncio.run(run())


def test_up_does_not_wait_for_the_health_that_a_service_depends_on(adapter: Adapter) -> None:
    async def run() -> None:
        app = adapter.app(
            db={"image": adapter.sick}, web={"depends_on": {"db": {"condition": "service_healthy"}}}
        )
        await adapter.engine.up(app, ["db", "web"])
        assert {name: found.state for name, found in (await adapter.found()).items()} == {
            "db-1": "running",
            "web-1": "running",
        }

    asyncio.run(run())


def test_up_of_a_missing_image_fails_and_the_old_container_runs_on(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={}), ["web"])
        before = await adapter.only()
        changed = adapter.app(web={"image": adapter.absent})
        error = await raised(OutsideError, adapter.engine.up(changed, ["web"]))
        assert error.code == COMPOSE_FAILED
        assert "No such image" in error.why
        assert await adapter.only() == before

    asyncio.run(run())


def test_up_of_a_bad_document_is_the_users_fault(adapter: Adapter) -> None:
    async def run() -> None:
        error = await raised(UserError, adapter.engine.up(adapter.app(web={"imagee": "x"}), ["web"]))
        assert error.code == COMPOSE_REFUSED
        assert "imagee" in error.why

    asyncio.run(run())


def test_up_keeps_as_many_as_the_service_is_scaled_to(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={"scale": 2}), ["web"])
        before = await adapter.found()
        assert sorted(before) == ["web-1", "web-2"]
        await adapter.engine.up(adapter.app(web={}), ["web"])
        (left,) = (await adapter.found()).values()
        assert left.id in {one.id for one in before.values()}

    asyncio.run(run())


def test_up_under_a_name_that_somebody_has_fails_and_leaves_him_alone(adapter: Adapter) -> None:
    async def run() -> None:
        name = f"{adapter.compose_project}-fixed"
        await adapter.engine.up(adapter.app(web={"container_name": name}), ["web"])
        before = await adapter.only()
        error = await raised(
            OutsideError, adapter.engine.up(adapter.app(db={"container_name": name}), ["db"])
        )
        assert error.code == COMPOSE_FAILED
        assert "already in use" in error.why
        assert await adapter.only() == before

    asyncio.run(run())


def test_up_of_a_port_that_is_taken_fails_in_the_engines_words(adapter: Adapter) -> None:
    async def run() -> None:
        anywhere = {"target": 8080, "protocol": "tcp", "mode": "ingress"}  # on a port of the engine's choice
        await adapter.engine.up(adapter.app(web={"ports": [anywhere]}), ["web"])
        (taken, *_) = (await adapter.only()).ports
        there = {**anywhere, "published": str(taken.port)}
        error = await raised(
            OutsideError,
            adapter.engine.up(adapter.app(web={"ports": [anywhere]}, db={"ports": [there]}), ["db"]),
        )
        assert error.code == COMPOSE_FAILED
        assert "port is already allocated" in error.why
        found = await adapter.found()
        assert (found["web-1"].state, found["db-1"].state) == ("running", "created")

    asyncio.run(run())


def test_up_beside_makes_one_more_by_the_new_document_and_leaves_the_old_one_alone(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={}, db={}), ["web", "db"])
        before = await adapter.found()
        changed = adapter.app(web={"environment": {"A": "1"}, "deploy": {"replicas": 1}}, db={})
        await adapter.engine.up_beside(changed, {"web": 2})
        after = await adapter.found()
        assert sorted(after) == ["db-1", "web-1", "web-2"]
        assert {name: after[name] for name in before} == before
        assert after["web-2"].state == "running"
        await adapter.engine.remove(after["web-1"].id)
        await adapter.engine.up(changed, ["web"])
        assert (await adapter.found())["web-2"] == after["web-2"], "what stayed is as the document says"

    asyncio.run(run())


def test_what_stayed_and_was_renamed_is_kept_and_the_next_one_gets_a_free_name(adapter: Adapter) -> None:
    async def run() -> None:
        app = adapter.app(web={})
        for _ in range(2):
            await adapter.engine.up_beside(app, {"web": len(await adapter.found()) + 1})
        first, second = (await adapter.found()).values()
        await adapter.engine.remove(first.id)
        await adapter.engine.rename(second.id, first.name)
        await adapter.engine.up(app, ["web"])
        assert (await adapter.only()).id == second.id
        await adapter.engine.up_beside(app, {"web": 2})
        found = await adapter.found()
        assert (len(found), found["web-1"].id) == (2, second.id)

    asyncio.run(run())


def test_up_beside_starts_what_had_ended_as_it_is(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={}), ["web"])
        before = await adapter.only()
        await adapter.engine.stop(before.id)
        await adapter.engine.up_beside(adapter.app(web={"environment": {"A": "1"}}), {"web": 2})
        found = await adapter.found()
        assert (found["web-1"].id, found["web-1"].state) == (before.id, "running")

    asyncio.run(run())


def test_up_beside_to_fewer_takes_the_newest_away(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up(adapter.app(web={}), ["web"])
        before = await adapter.only()
        changed = adapter.app(web={"environment": {"A": "1"}})
        await adapter.engine.up_beside(changed, {"web": 2})
        await adapter.engine.up_beside(changed, {"web": 1})
        assert (await adapter.only()).id == before.id

    asyncio.run(run())


def test_up_beside_of_a_fixed_name_fails_and_the_old_container_runs_on(adapter: Adapter) -> None:
    async def run() -> None:
        app = adapter.app(web={"container_name": f"{adapter.compose_project}-fixed"})
        await adapter.engine.up(app, ["web"])
        before = await adapter.only()
        error = await raised(OutsideError, adapter.engine.up_beside(app, {"web": 2}))
        assert error.code == COMPOSE_FAILED
        assert "container name" in error.why
        assert await adapter.only() == before

    asyncio.run(run())


def test_up_beside_of_no_services_does_nothing(adapter: Adapter) -> None:
    async def run() -> None:
        await adapter.engine.up_beside(adapter.app(web={}), {})
        assert await adapter.engine.containers(adapter.compose_project) == []

    asyncio.run(run())
