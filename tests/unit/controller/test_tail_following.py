"""Following logs through replacements, ends and silences, on stand-ins for the engines' logs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from controller.tail_following import Pace, follow
from controller.tailing import Wanted, choose
from controller.targets import Target
from events.kernel.clock import SystemClock
from events.kernel.errors import OutsideError
from tests.support.scripted_logs import ScriptedLogs, container

PACE = Pace(look_seconds=0.01, hosts_seconds=0.01, silent_seconds=0.01, hold_seconds=0.25)
WEB = container("web")


def wanted(**more: object) -> Wanted:
    return Wanted(target=Target(project="shop", name="prod"), lineage="log-1", **more)  # type: ignore[arg-type]  # names are literals below


@dataclass
class Reader:
    """Collects what following shows and tells."""

    lines: list[str] = field(default_factory=list[str])
    told: list[str] = field(default_factory=list[str])
    hosts: dict[str, ScriptedLogs] = field(default_factory=dict[str, ScriptedLogs])
    task: asyncio.Task[None] | None = None

    def tell(self, host: str, error: OutsideError | None) -> None:
        self.told.append(f"{host}: {'answers' if error is None else error.code}")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds; an error of following comes out here."""
        async with asyncio.timeout(20):
            while not condition():
                if self.task is not None and self.task.done():
                    self.task.result()
                await asyncio.sleep(0.002)

    async def shows(self, *texts: str) -> None:
        """These lines were shown and no others, now and a few looks later."""
        await self.until(lambda: len(self.lines) >= len(texts))
        await asyncio.sleep(10 * PACE.look_seconds)
        assert self.lines == list(texts)


@asynccontextmanager
async def following(wish: Wanted, **hosts: ScriptedLogs) -> AsyncGenerator[Reader]:
    """Reads; the reader's `hosts` may grow."""
    reader = Reader(hosts=dict(hosts))
    sources = dict(hosts)

    async def collect() -> None:
        found = await choose(sources, wish, known=())
        lines = follow(
            sources,
            wish,
            found,
            clock=SystemClock(),
            tell=reader.tell,
            pace=PACE,
            hosts_now=lambda: dict(reader.hosts),
        )
        async for line in lines:
            reader.lines.append(line.text)

    reader.task = asyncio.create_task(collect())
    try:
        yield reader
    finally:
        reader.task.cancel()
        await asyncio.gather(reader.task, return_exceptions=True)


def test_old_lines_come_first_and_new_ones_as_they_are_written() -> None:
    async def story() -> None:
        app, other = ScriptedLogs(), ScriptedLogs()
        app.run(WEB, "a", "c")
        other.run(WEB, "b", at=0.5)
        async with following(wanted(), app=app, other=other) as reader:
            await reader.shows("a", "b", "c")
            app.say("web-1", "e", at=5)
            other.say("web-1", "d", at=4)
            await reader.shows("a", "b", "c", "d", "e")

    asyncio.run(story())


@pytest.mark.parametrize(("tail", "old"), [(0, []), (1, ["b"]), (None, ["a", "b"])])
def test_tail_is_for_what_was_there_at_the_beginning(tail: int | None, old: list[str]) -> None:
    async def story() -> None:
        app = ScriptedLogs()
        app.run(WEB, "a", "b")
        async with following(wanted(tail=tail), app=app) as reader:
            await reader.until(lambda: len(app.asked) > 1)
            app.say("web-1", "c", at=9)
            await reader.shows(*old, "c")
            app.run(container("web", number=2), "first of the next", "second", at=10)
            await reader.shows(*old, "c", "first of the next", "second")

    asyncio.run(story())


def test_a_replacement_is_followed_from_its_first_line_to_the_last_of_the_old_one() -> None:
    async def story() -> None:
        app = ScriptedLogs()
        app.run(WEB, "v1 up")
        async with following(wanted(service="web"), app=app) as reader:
            await reader.shows("v1 up")
            app.say("web-1", "v1 ends", at=2)
            app.end("web-1")
            app.run(container("web", number=2), "v2 up", at=3)
            await reader.shows("v1 up", "v1 ends", "v2 up")
            app.remove("web-1")
            app.say("web-2", "v2 serves", at=4)
            await reader.shows("v1 up", "v1 ends", "v2 up", "v2 serves")

    asyncio.run(story())


def test_a_container_that_came_and_ended_between_two_looks_is_shown() -> None:
    async def story() -> None:
        app = ScriptedLogs()
        app.run(WEB, "v1 up")
        async with following(wanted(service="web"), app=app) as reader:
            await reader.shows("v1 up")
            app.run(container("web", "exited", number=2), "cannot open the database", at=3)
            app.run(container("db", "exited", number=2), "of no interest", at=3)
            await reader.shows("v1 up", "cannot open the database")

    asyncio.run(story())


def test_a_connection_that_is_cut_loses_and_doubles_nothing() -> None:
    async def story() -> None:
        app = ScriptedLogs()
        app.run(WEB)
        async with following(wanted(), app=app) as reader:
            for number in range(50):
                app.say("web-1", f"{number}", at=number / 10)
                if number % 7 == 0:
                    app.cut()
                await asyncio.sleep(0.003)
            await reader.shows(*map(str, range(50)))

    asyncio.run(story())


def test_a_host_that_is_silent_is_told_once_and_goes_on_where_it_was() -> None:
    async def story() -> None:
        app, far = ScriptedLogs(), ScriptedLogs()
        app.run(container("db"), "db 1")
        far.run(WEB, "web 1", at=1)
        async with following(wanted(), app=app, far=far) as reader:
            await reader.shows("db 1", "web 1")
            far.silent = True
            await reader.until(lambda: reader.told == ["far: engine-unreachable"])
            far.say("web-1", "web 2, unseen", at=2)
            app.say("db-1", "db 2", at=3)
            await reader.shows("db 1", "web 1", "db 2")
            assert reader.told == ["far: engine-unreachable"]
            far.silent = False
            await reader.shows("db 1", "web 1", "db 2", "web 2, unseen")
            assert reader.told == ["far: engine-unreachable", "far: answers"]
            far.say("web-1", "web 3", at=4)
            await reader.shows("db 1", "web 1", "db 2", "web 2, unseen", "web 3")

    asyncio.run(story())


def test_a_container_that_ended_during_the_silence_is_read_to_its_end() -> None:
    async def story() -> None:
        far = ScriptedLogs()
        far.run(WEB, "1")
        async with following(wanted(), far=far) as reader:
            await reader.shows("1")
            far.silent = True
            await reader.until(lambda: reader.told == ["far: engine-unreachable"])
            far.say("web-1", "last words", at=2)
            far.end("web-1")
            far.silent = False
            await reader.shows("1", "last words")

    asyncio.run(story())


def test_a_host_that_was_silent_at_the_beginning_joins_with_as_many_lines_as_the_others() -> None:
    async def story() -> None:
        app, far = ScriptedLogs(), ScriptedLogs(silent=True)
        app.run(container("db"), "db 1", "db 2")
        far.run(WEB, "web 1", "web 2", at=1)
        async with following(wanted(tail=1), app=app, far=far) as reader:
            await reader.shows("db 2")
            assert reader.told == []  # whoever chose the containers knows it
            far.silent = False
            await reader.shows("db 2", "web 2")
            assert reader.told == ["far: answers"]

    asyncio.run(story())


def test_a_host_that_a_release_brings_joins_with_all_its_lines() -> None:
    async def story() -> None:
        app, new = ScriptedLogs(), ScriptedLogs()
        app.run(WEB, "1")
        new.run(container("web", container_id="other"), "2", "3", at=1)
        async with following(wanted(tail=1), app=app) as reader:
            await reader.shows("1")
            reader.hosts["new"] = new
            await reader.shows("1", "2", "3")
            del reader.hosts["new"]
            new.say("other", "4", at=9)
            await reader.shows("1", "2", "3", "4")

    asyncio.run(story())


def test_what_has_no_line_end_is_shown_once_and_whole() -> None:
    async def story() -> None:
        app = ScriptedLogs()
        app.run(WEB, "1")
        async with following(wanted(), app=app) as reader:
            await reader.shows("1")
            app.say("web-1", "half", at=2, whole=False)
            app.end("web-1")
            await reader.shows("1", "half")

    asyncio.run(story())


def test_a_log_that_cannot_be_read_is_told_once_and_the_others_go_on() -> None:
    async def story() -> None:
        app = ScriptedLogs(refuses={"web-1"})
        app.run(WEB)
        app.run(container("db"), "up")
        async with following(wanted(), app=app) as reader:
            await reader.shows("up")
            await reader.until(lambda: reader.told == ["app: engine-refused"])
            app.say("db-1", "on", at=2)
            await reader.shows("up", "on")
            assert reader.told == ["app: engine-refused"]

    asyncio.run(story())


def test_only_matching_lines_are_shown() -> None:
    async def story() -> None:
        app = ScriptedLogs()
        app.run(WEB, "GET /", "POST /")
        async with following(wanted(matches=re.compile("POST")), app=app) as reader:
            app.say("web-1", "GET /2", at=5)
            app.say("web-1", "POST /2", at=6)
            await reader.shows("POST /", "POST /2")

    asyncio.run(story())


def test_what_is_no_silence_ends_following() -> None:
    class Broken(ScriptedLogs):
        async def containers(self, compose_project: str | None = None) -> list[object]:  # type: ignore[override]  # it raises
            found = await super().containers(compose_project)
            if len(self.asked) > 1:
                raise OutsideError("engine-refused", "no")
            return list(found)

    async def story() -> None:
        app = Broken()
        app.run(WEB, "1")
        async with following(wanted(), app=app) as reader:
            with pytest.raises(OutsideError, match="engine-refused"):
                await reader.until(lambda: False)

    asyncio.run(story())
