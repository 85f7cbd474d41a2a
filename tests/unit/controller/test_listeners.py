"""Listening to hosts that come, move and go while the daemon runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from controller.listeners import Listeners
from events.kernel.errors import OutsideError, UserError, error_code
from projections.engine.errors import ENGINE_UNREACHABLE
from projections.engine.watch_port import EngineEvent, EngineWatch
from tests.support.time import ManualClock

BAD_FILE = error_code("test-bad-file", "A code of this test.")


@dataclass(eq=False)
class _Told:
    """An engine that tells what a test puts in."""

    events: asyncio.Queue[EngineEvent] = field(default_factory=asyncio.Queue[EngineEvent])
    listening: int = 0

    async def watch(self) -> AsyncGenerator[EngineEvent]:
        self.listening += 1
        try:
            while True:
                yield await self.events.get()
        finally:
            self.listening -= 1


@dataclass(eq=False)
class _Failing:
    error: Exception

    async def watch(self) -> AsyncGenerator[EngineEvent]:
        for _ in range(1):
            raise self.error
        yield EngineEvent()


class _Unreadable(Mapping[str, EngineWatch]):
    """Hosts that cannot be told while somebody mends a file."""

    def __init__(self, inner: Mapping[str, EngineWatch]) -> None:
        self.inner = inner
        self.broken = False

    def __getitem__(self, host: str) -> EngineWatch:
        return self.inner[host]

    def __iter__(self) -> Iterator[str]:
        if self.broken:
            raise UserError(BAD_FILE, "controller.yml is broken")
        return iter(self.inner)

    def __len__(self) -> int:
        return len(self.inner)


@dataclass
class _Scene:
    watches: Mapping[str, EngineWatch]
    clock: ManualClock = field(default_factory=ManualClock)
    heard: list[str] = field(default_factory=list[str])
    said: list[str] = field(default_factory=list[str])

    async def settled(self, condition: Callable[[], bool]) -> None:
        """Let others run until it is so; time stands still."""
        for _ in range(1000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError(f"never so; heard {self.heard}, said {self.said}")

    async def compared(self) -> None:
        """Let the time of one more comparison come."""
        asked = len(self.clock.slept)
        self.clock.advance(5)
        await self.settled(lambda: len(self.clock.slept) > asked)

    def listeners(self) -> Listeners:
        def hear(event: EngineEvent) -> None:
            self.heard.append(f"{event.host}:{event.action}")

        return Listeners(watches=self.watches, hear=hear, say=self.said.append, clock=self.clock)


def tell(scene: _Scene, story: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        running = asyncio.create_task(scene.listeners().run())
        try:
            await story()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_host_that_comes_is_listened_to_and_one_that_goes_is_not() -> None:
    hosts: dict[str, EngineWatch] = {}
    first, second = _Told(), _Told()
    hosts["local"] = first
    scene = _Scene(watches=hosts)

    async def story() -> None:
        await scene.settled(lambda: first.listening == 1)
        hosts["app-1"] = second
        await scene.compared()
        await scene.settled(lambda: second.listening == 1)
        second.events.put_nowait(EngineEvent(action="die"))
        await scene.settled(lambda: scene.heard == ["app-1:die"])
        del hosts["app-1"]
        await scene.compared()
        await scene.settled(lambda: (first.listening, second.listening) == (1, 0))

    tell(scene, story)
    assert first.listening == 0


def test_a_host_that_moved_is_listened_to_where_it_is() -> None:
    former, new = _Told(), _Told()
    hosts: dict[str, EngineWatch] = {"app-1": former}
    scene = _Scene(watches=hosts)

    async def story() -> None:
        await scene.settled(lambda: former.listening == 1)
        hosts["app-1"] = new
        await scene.compared()
        await scene.settled(lambda: (former.listening, new.listening) == (0, 1))

    tell(scene, story)


def test_a_host_that_does_not_answer_keeps_no_other_from_being_heard() -> None:
    told = _Told()
    scene = _Scene(watches={"app-1": _Failing(OutsideError(ENGINE_UNREACHABLE, "no answer")), "local": told})

    async def story() -> None:
        await scene.settled(lambda: told.listening == 1 and bool(scene.said))
        told.events.put_nowait(EngineEvent(action="stop"))
        await scene.settled(lambda: scene.heard == ["local:stop"])

    tell(scene, story)
    assert scene.said == ["app-1: no events of the engine: no answer"]


def test_while_the_hosts_cannot_be_told_those_known_are_listened_to() -> None:
    told = _Told()
    hosts = _Unreadable({"local": told})
    scene = _Scene(watches=hosts)

    async def story() -> None:
        await scene.settled(lambda: told.listening == 1)
        hosts.broken = True
        await scene.compared()
        await scene.compared()
        told.events.put_nowait(EngineEvent(action="die"))
        await scene.settled(lambda: scene.heard == ["local:die"])

    tell(scene, story)
    assert scene.said == ["which hosts there are cannot be told: controller.yml is broken"]


def test_a_bug_of_a_listener_ends_them_all() -> None:
    scene = _Scene(watches={"local": _Failing(ValueError("bug"))})
    with pytest.raises(ValueError, match="bug"):
        asyncio.run(asyncio.wait_for(scene.listeners().run(), 30))
