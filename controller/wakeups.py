"""What wakes the daemon: a local repository's refs, the engines' events, and a heartbeat of its own.

Each source runs for ever. One that fails is tried again after a growing wait and says so once; the poll and
the pass go on meanwhile, so a source that is broken for good costs latency and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from controller.backoff import Backoff
from events.kernel.clock import Clock
from events.kernel.errors import StagecraftError
from gitops.source.watch import git_folder, watch_refs
from projections.engine.watch_port import EngineEvent, EngineWatch

_FIRST_SECONDS = 1.0
_LIMIT_SECONDS = 60.0


def _backoff() -> Backoff:
    return Backoff(first_seconds=_FIRST_SECONDS, limit_seconds=_LIMIT_SECONDS)


@dataclass(slots=True, kw_only=True)
class Listener:
    """Keeps one engine's events coming."""

    host: str
    engine: EngineWatch
    hear: Callable[[EngineEvent], None]
    say: Callable[[str], None]
    clock: Clock
    backoff: Backoff = field(default_factory=_backoff)

    async def run(self) -> None:
        """Listen, for ever."""
        while True:
            try:
                async with aclosing(self.engine.watch()) as events:
                    async for event in events:
                        if self.backoff.failures:
                            self.say(f"{self.host}: the engine answers again")
                        self.backoff.succeeded()
                        self.hear(replace(event, host=self.host))
            except StagecraftError as error:
                if not self.backoff.failures:
                    self.say(f"{self.host}: no events of the engine: {error.message}")
            await self.clock.sleep(self.backoff.failed())


async def follow_refs(
    url: str, ref: str, *, clock: Clock, say: Callable[[str], None]
) -> AsyncGenerator[None]:
    """One item each time a push may have happened in a local repository; ends at once for one elsewhere.

    A repository that is not there (yet, or any more) is looked for again.
    """
    backoff = _backoff()
    while True:
        folder = git_folder(url)
        if folder is not None:
            try:
                async with aclosing(watch_refs(folder, ref)) as changes:
                    async for _ in changes:
                        backoff.succeeded()
                        yield
            except StagecraftError as error:
                if not backoff.failures:
                    say(f"{error.message}; it is polled: {error.why}")
        await clock.sleep(backoff.failed())
