"""The log lines of an environment's containers, several at once, each with the service it is of.

Followed logs are merged as lines arrive; read ones come container after container. While following, the
engine is listed again and again, so that a container that a Release brings is followed too, from its first
line.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from events import labels
from events.kernel.errors import UserError, error_code
from projections.converge.adopted import Adopted, dressed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection

    from controller.targets import Target
    from events.kernel.clock import Clock
    from projections.engine.following import LogSource
    from projections.engine.port import Container

SERVICE_UNKNOWN = error_code("service-not-in-environment", "The environment has no service of that name.")

_LOOK_SECONDS = 1.0
_QUEUE_LINES = 256
_ENDED = frozenset({"created", "exited", "dead", "removing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines are asked for."""

    target: Target
    lineage: str  # of our log: containers of another one are not ours
    service: str | None = None
    ended: bool = False  # also containers that do not run, such as failed ones that were kept
    tail: int | None = None
    since: float | None = None  # seconds of the epoch
    adopted: Adopted = field(default_factory=dict[str, Mapping[str, str]])  # ours by the log alone

    def has(self, container: Container) -> bool:
        """Whether it is a container of the environment, whatever its service and state."""
        told = container.labels
        return (told.get(labels.PROJECT), told.get(labels.ENVIRONMENT), told.get(labels.LOG)) == (
            self.target.project,
            self.target.name,
            self.lineage,
        )

    def chooses(self, container: Container) -> bool:
        """Whether its lines are asked for."""
        return (
            self.has(container)
            and self.service in {None, container.service}
            and (self.ended or container.state not in _ENDED)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a container's log."""

    service: str
    container: str  # its id
    text: str


async def choose(source: LogSource, wanted: Wanted, *, known: Collection[str]) -> list[Container]:
    """The containers whose lines are wanted; `known` are the services that the log knows of.

    Raises UserError `service-not-in-environment`, naming those there are, and OutsideError
    `engine-unreachable`.
    """
    every = [one for one in dressed(await source.containers(), wanted.adopted) if wanted.has(one)]
    services = sorted({*known, *(one.service or "" for one in every)})
    if wanted.service is not None and wanted.service not in services:
        raise UserError(
            SERVICE_UNKNOWN,
            f"{wanted.target} has no service {wanted.service!r}",
            why=f"known services: {', '.join(services) or 'none'}",
            next=f"stagecraft status --env {wanted.target}",
        )
    return [one for one in every if wanted.chooses(one)]


async def read(source: LogSource, wanted: Wanted, containers: list[Container]) -> AsyncGenerator[Line]:
    """What the containers have written until now, one after the other."""
    for container in containers:
        lines = source.follow_logs(container.id, tail=wanted.tail, since=wanted.since, follow=False)
        async with contextlib.aclosing(lines):
            async for text in lines:
                yield Line(service=container.service or "", container=container.id, text=text)


async def follow(
    source: LogSource, wanted: Wanted, containers: list[Container], *, clock: Clock
) -> AsyncGenerator[Line]:
    """Lines of all containers as they come, also of those that appear later; never ends by itself.

    Raises OutsideError `engine-unreachable` when the engine is lost.
    """
    follower = _Follower(source=source, wanted=wanted, clock=clock)
    following = asyncio.create_task(follower.run(containers))
    try:
        while True:
            getting = asyncio.create_task(follower.arrived.get())
            await asyncio.wait((getting, following), return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                await _raise_first(following)
            yield await getting
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await following


@dataclass(slots=True, kw_only=True)
class _Follower:
    """Follows every wanted container with a task of its own."""

    source: LogSource
    wanted: Wanted
    clock: Clock
    arrived: asyncio.Queue[Line] = field(default_factory=lambda: asyncio.Queue(_QUEUE_LINES))
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    ends: dict[str, float] = field(default_factory=dict[str, float])  # when a followed log ended

    async def run(self, containers: list[Container]) -> None:
        """Begin with these and go on with what appears. Never ends by itself."""
        async with asyncio.TaskGroup() as group:
            for container in containers:
                self._begin(group, container, tail=self.wanted.tail, since=self.wanted.since)
            while True:
                await self.clock.sleep(_LOOK_SECONDS)
                for container in dressed(await self.source.containers(), self.wanted.adopted):
                    if self.wanted.chooses(container) and self._is_new(container):
                        since = self.ends.get(container.id, self.wanted.since)
                        self._begin(group, container, tail=None, since=since)

    def _is_new(self, container: Container) -> bool:
        """Whether it was never followed, or runs again after it had ended."""
        task = self.tasks.get(container.id)
        return task is None or (task.done() and container.state == "running")

    def _begin(
        self, group: asyncio.TaskGroup, container: Container, *, tail: int | None, since: float | None
    ) -> None:
        self.tasks[container.id] = group.create_task(self._one(container, tail=tail, since=since))

    async def _one(self, container: Container, *, tail: int | None, since: float | None) -> None:
        service = container.service or ""
        async with contextlib.aclosing(
            self.source.follow_logs(container.id, tail=tail, since=since)
        ) as lines:
            async for text in lines:
                await self.arrived.put(Line(service=service, container=container.id, text=text))
        self.ends[container.id] = self.clock.now().timestamp()


async def _raise_first(task: asyncio.Task[None]) -> None:
    """Raise the first error of a group's task as itself."""
    try:
        await task
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
