"""Listening to the engine of each host that is in use, also of one that comes while the daemon runs.

Hosts come and move by what a commit says, so the listeners are compared with the hosts every few seconds: a
new host gets one, a host that is reached in another way a new one, and one that is out of use none. A hint
that is missed meanwhile costs no more than any other: the next pass looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from controller.wakeups import Listener
from events.kernel.clock import Clock
from events.kernel.errors import StagecraftError
from projections.engine.watch_port import EngineEvent, EngineWatch

_LOOK_SECONDS = 5.0


@dataclass(slots=True, kw_only=True)
class Listeners:
    """One listener for each host; belongs to one event loop."""

    watches: Mapping[str, EngineWatch]  # by host; grows, shrinks and changes
    hear: Callable[[EngineEvent], None]
    say: Callable[[str], None]
    clock: Clock
    _running: dict[str, tuple[EngineWatch, asyncio.Task[None]]] = field(
        default_factory=dict[str, tuple[EngineWatch, asyncio.Task[None]]]
    )
    _trouble: str = ""

    async def run(self) -> None:
        """Listen, for ever. Raises what a broken listener raised, which is a bug."""
        try:
            while True:
                self._compare()
                await self._until_next()
        finally:
            for _, task in self._running.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in self._running.values()), return_exceptions=True)

    async def _until_next(self) -> None:
        pause = asyncio.create_task(self.clock.sleep(_LOOK_SECONDS))
        tasks = [task for _, task in self._running.values()]
        try:
            await asyncio.wait([pause, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()

    def _compare(self) -> None:
        """Begin and end listeners, so that each host of now has its own."""
        try:
            wanted = dict(self.watches)
        except StagecraftError as error:  # the operator's file, or the log: those there are go on
            if error.message != self._trouble:
                self.say(f"which hosts there are cannot be told: {error.message}")
            self._trouble = error.message
            return
        self._trouble = ""
        for host, (watch, task) in list(self._running.items()):
            if wanted.get(host) is not watch:
                task.cancel()
                del self._running[host]
        for host, watch in wanted.items():
            if host not in self._running:
                listener = Listener(host=host, engine=watch, hear=self.hear, say=self.say, clock=self.clock)
                self._running[host] = (watch, asyncio.create_task(listener.run()))
