"""Which lines of which containers are shown, on a stand-in for an engine's logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest

from controller.tailing import Wanted, choose, follow, read
from controller.targets import Target
from events import labels
from events.kernel.clock import SystemClock
from events.kernel.errors import OutsideError, UserError
from projections.engine.errors import engine_unreachable
from projections.engine.port import Container, ContainerState

WANTED = Wanted(target=Target(project="shop", name="prod"), lineage="log-1")


def container(
    service: str, state: ContainerState = "running", *, environment: str = "prod", lineage: str = "log-1"
) -> Container:
    return Container(
        id=f"{service}-id",
        name=service,
        image="x",
        image_id="sha256:1",
        state=state,
        health="none",
        labels={
            labels.PROJECT: "shop",
            labels.ENVIRONMENT: environment,
            labels.SERVICE: service,
            labels.LOG: lineage,
        },
    )


@dataclass(slots=True)
class ScriptedLogs:
    """An engine with containers whose logs are written by the test."""

    found: list[Container]
    endless: bool = True
    asked: list[tuple[str, int | None, float | None, bool]] = field(
        default_factory=list[tuple[str, int | None, float | None, bool]]
    )
    broken: bool = False

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        del compose_project
        if self.broken:
            raise engine_unreachable("unix:///x", "gone")
        return self.found

    async def follow_logs(
        self, container_id: str, *, tail: int | None = None, since: float | None = None, follow: bool = True
    ) -> AsyncGenerator[str]:
        self.asked.append((container_id, tail, since, follow))
        yield f"{container_id} 1"
        if follow and self.endless:
            await asyncio.sleep(60)


def chosen(wanted: Wanted, *found: Container, known: frozenset[str] = frozenset()) -> list[str]:
    every = asyncio.run(choose(ScriptedLogs(list(found)), wanted, known=known))
    return [one.service or "" for one in every]


def test_only_running_containers_of_the_environment_and_the_log_count() -> None:
    found = (
        container("web"),
        container("job", "exited"),
        container("loop", "restarting"),
        container("other", environment="dev"),
        container("foreign", lineage="log-2"),
    )
    assert chosen(WANTED, *found) == ["web", "loop"]
    every = Wanted(target=WANTED.target, lineage="log-1", ended=True)
    assert chosen(every, *found) == ["web", "job", "loop"]
    web = Wanted(target=WANTED.target, lineage="log-1", service="web")
    assert chosen(web, *found) == ["web"]


def test_an_unknown_service_is_an_error_that_lists_the_known() -> None:
    wanted = Wanted(target=WANTED.target, lineage="log-1", service="wbe")
    with pytest.raises(UserError) as caught:
        chosen(wanted, container("web"), container("job", "exited"), known=frozenset({"db"}))
    assert caught.value.code == "service-not-in-environment"
    assert caught.value.why == "known services: db, job, web"
    known = Wanted(target=WANTED.target, lineage="log-1", service="db")
    assert chosen(known, container("web"), known=frozenset({"db"})) == []


def test_reading_goes_container_after_container() -> None:
    source = ScriptedLogs([container("web"), container("db")])
    wanted = Wanted(target=WANTED.target, lineage="log-1", tail=3, since=5.0)

    async def collected() -> list[str]:
        return [f"{one.service}: {one.text}" async for one in read(source, wanted, source.found)]

    assert asyncio.run(collected()) == ["web: web-id 1", "db: db-id 1"]
    assert source.asked == [("web-id", 3, 5.0, False), ("db-id", 3, 5.0, False)]


async def first_lines(source: ScriptedLogs, count: int) -> list[str]:
    """The first lines of following; a further container appears after the first of them."""
    found: list[str] = []
    async with (
        asyncio.timeout(10),
        aclosing(follow(source, WANTED, list(source.found), clock=SystemClock())) as all_,
    ):
        async for line in all_:
            found.append(line.text)
            source.found = [container("web"), container("late")]
            if len(found) == count:
                break
    return found


def test_following_takes_up_what_appears_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.tailing._LOOK_SECONDS", 0.01)
    source = ScriptedLogs([container("web")])
    assert asyncio.run(first_lines(source, 2)) == ["web-id 1", "late-id 1"]
    assert [one[0] for one in source.asked] == ["web-id", "late-id"]


def test_a_container_that_runs_again_is_followed_from_where_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.tailing._LOOK_SECONDS", 0.01)
    source = ScriptedLogs([container("web")], endless=False)
    assert len(asyncio.run(first_lines(source, 3))) == 3
    assert source.asked[0] == ("web-id", None, None, True)
    assert all(since is not None for name, _, since, _ in source.asked[1:] if name == "web-id")


def test_an_engine_that_is_lost_ends_following_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.tailing._LOOK_SECONDS", 0.01)
    source = ScriptedLogs([container("web")], broken=True)
    with pytest.raises(OutsideError) as caught:
        asyncio.run(first_lines(source, 9))
    assert caught.value.code == "engine-unreachable"
