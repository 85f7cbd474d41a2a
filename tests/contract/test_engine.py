"""What every engine behind the port does, asked through the port alone.

An adapter is the engine under test with what the tests need around it: images that behave in a known way, a
Compose project of the test's own, and an engine of the same kind that does not answer. Everything a test
makes is taken away by the fixture, also when the test fails.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from events import labels
from events.kernel.errors import OutsideError, StagecraftError, UserError
from projections.engine.docker import DockerEngine
from projections.engine.errors import (
    COMPOSE_FAILED,
    COMPOSE_REFUSED,
    ENGINE_REFUSED,
    ENGINE_UNREACHABLE,
    REGISTRY_UNREACHABLE,
)
from projections.engine.port import App, Container, Engine
from tests.support.cleanup import EngineProject
from tests.support.images import HEALTHY, TestImages

GONE = "0" * 64
WAIT_SECONDS = 15.0
Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """An engine under test and the world around it."""

    engine: Engine
    silent: Engine  # of the same kind, does not answer
    compose_project: str
    steady: str  # image: runs until it is stopped, and ends at once then
    steady_id: str
    healthy: str  # the same, with a health check that succeeds
    sick: str  # the same, with one that never does
    failing: str  # prints "cannot open the database" and ends with 4
    succeeding: str  # prints "job v1 ran" and ends with 0
    absent: str  # no engine has it and nobody listens at its registry

    def app(self, **services: Document) -> App:
        """A document of these services, each a steady one with our labels unless it says otherwise."""
        complete = {
            name: {"image": self.steady, "labels": ours(name), **service}
            for name, service in services.items()
        }
        return App(compose_project=self.compose_project, document={"services": complete})

    async def found(self) -> dict[str, Container]:
        """The project's containers by name, without the project's part of it."""
        containers = await self.engine.containers(self.compose_project)
        return {found.name.removeprefix(f"{self.compose_project}-"): found for found in containers}

    async def only(self) -> Container:
        """The project's only container."""
        (container,) = await self.engine.containers(self.compose_project)
        return container


def ours(service: str) -> dict[str, str]:
    """The labels of a container of ours."""
    return {
        labels.PROJECT: "shop",
        labels.ENVIRONMENT: "prod",
        labels.SERVICE: service,
        labels.SERVICE_HASH: f"hash-of-{service}",
        labels.LOG: "log-1",
    }


@pytest.fixture(params=["docker"])
def adapter(
    engine_project: EngineProject, images: TestImages, tmp_path: Path, request: pytest.FixtureRequest
) -> Generator[Adapter]:
    assert request.param == "docker"
    steady = images.web()
    docker = DockerEngine(None, tmp_path / "run")
    silent = DockerEngine(f"unix://{tmp_path}/nobody.sock", tmp_path / "run")
    try:
        yield Adapter(
            engine=docker,
            silent=silent,
            compose_project=f"{engine_project.name}-prod",
            steady=steady,
            steady_id=images.image_id(steady),
            healthy=images.web(name="healthy", health=HEALTHY),
            sick=images.sick(name="sick"),
            failing=images.crashing(name="failing", code=4),
            succeeding=images.job(),
            absent=images.absent(),
        )
    finally:
        docker.close()
        silent.close()


async def eventually(what: str, look: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not await look():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.05)


def raised(kind: type[StagecraftError], call: Awaitable[object]) -> Awaitable[StagecraftError]:
    """The error that `call` ends with."""

    async def run() -> StagecraftError:
        with pytest.raises(kind) as caught:
            await call
        return caught.value

    return run()


def test_says_twice_that_it_is_the_same_engine(adapter: Adapter) -> None:
    async def run() -> None:
        first, second = await adapter.engine.identity(), await adapter.engine.identity()
        assert first == second
        assert all((first.machine, first.engine, first.engine_version, first.api_version))

    asyncio.run(run())


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


def test_a_health_check_shows_in_listing_and_inspection(adapter: Adapter) -> None:
    async def run() -> None:
        app = adapter.app(good={"image": adapter.healthy}, bad={"image": adapter.sick})
        await adapter.engine.up(app, ["good", "bad"])

        async def decided() -> bool:
            found = await adapter.found()
            return (found["good-1"].health, found["bad-1"].health) == ("healthy", "unhealthy")

        await eventually("one healthy, one unhealthy", decided)
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


def test_starting_what_is_gone_is_refused(adapter: Adapter) -> None:
    error = asyncio.run(_raise(OutsideError, lambda: adapter.engine.start(GONE)))
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
    error = asyncio.run(_raise(OutsideError, lambda: adapter.engine.wait(GONE, deadline_seconds=5)))
    assert error.code == ENGINE_REFUSED


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


def test_an_image_has_one_id_under_tag_id_and_new_tag(adapter: Adapter) -> None:
    async def run() -> None:
        image = await adapter.engine.image(adapter.steady)
        assert image is not None
        assert image.id == adapter.steady_id
        assert await adapter.engine.image(image.id) == image
        repository = adapter.steady.rpartition(":")[0]
        await adapter.engine.tag(image.id, f"{repository}:kept")
        kept = await adapter.engine.image(f"{repository}:kept")
        assert kept is not None
        assert kept.id == image.id
        assert await adapter.engine.image(adapter.absent) is None
        error = await raised(OutsideError, adapter.engine.tag(f"sha256:{GONE}", f"{repository}:lost"))
        assert error.code == ENGINE_REFUSED

    asyncio.run(run())


def test_an_image_whose_registry_is_away_can_neither_be_asked_for_nor_pulled(adapter: Adapter) -> None:
    async def run() -> None:
        for call in (adapter.engine.registry_digest, adapter.engine.pull):
            error = await raised(OutsideError, call(adapter.absent))
            assert error.code == REGISTRY_UNREACHABLE
            assert adapter.absent in error.message
            assert "refused" in error.why

    asyncio.run(run())


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


CALLS: dict[str, Callable[[Engine, App], Awaitable[object]]] = {
    "identity": lambda engine, _: engine.identity(),
    "containers": lambda engine, _: engine.containers(),
    "inspect": lambda engine, _: engine.inspect(GONE),
    "image": lambda engine, _: engine.image("x:1"),
    "registry_digest": lambda engine, _: engine.registry_digest("127.0.0.1:9/x:1"),
    "pull": lambda engine, _: engine.pull("127.0.0.1:9/x:1"),
    "tag": lambda engine, _: engine.tag(f"sha256:{GONE}", "x:1"),
    "logs": lambda engine, _: engine.logs(GONE, tail=1),
    "start": lambda engine, _: engine.start(GONE),
    "stop": lambda engine, _: engine.stop(GONE),
    "remove": lambda engine, _: engine.remove(GONE),
    "rename": lambda engine, _: engine.rename(GONE, "x"),
    "wait": lambda engine, _: engine.wait(GONE, deadline_seconds=1),
    "predict": lambda engine, app: engine.predict(app, ["web"]),
    "up": lambda engine, app: engine.up(app, ["web"]),
    "run_job": lambda engine, app: engine.run_job(app, "web"),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_engine_that_does_not_answer_is_unreachable_and_never_empty(adapter: Adapter, name: str) -> None:
    call = CALLS[name]
    error = asyncio.run(_raise(OutsideError, lambda: call(adapter.silent, adapter.app(web={}))))
    assert error.code == ENGINE_UNREACHABLE
    assert error.why
    assert error.next


async def _raise(kind: type[StagecraftError], call: Callable[[], Awaitable[object]]) -> StagecraftError:
    return await raised(kind, call())
