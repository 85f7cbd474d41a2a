"""Log lines as they come, from several hosts, through replacements and through the silence of a host.

What was written before is read to its end first, and merged exactly; from there on each host is listed again
and again, and each container is read from where its mark stands (`marks.py`). So it does not matter how a
reading ended: at the container's end, at the connection's, or because the host was silent for a while. After
a silence every reading of the host begins anew, for one that looks alive may be dead.

A log that ended is read once more: engines may end a followed log before its last words.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.interleaving import ordered
from controller.marks import Mark, Marks
from controller.tailing import SILENT, Found, Line, Wanted, has_ended, line_of, listed, read
from events.kernel.errors import OutsideError
from projections.engine.errors import ENGINE_REFUSED

if TYPE_CHECKING:
    from events.kernel.clock import Clock
    from projections.engine.following import LogSource
    from projections.engine.port import Container

_QUEUE_LINES = 256

HostsNow = Callable[[], Mapping[str, "LogSource"]]
Tell = Callable[[str, OutsideError | None], None]  # by host: what keeps lines away; None: it answers again


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How soon things are noticed."""

    look_seconds: float = 1.0  # between two listings of a host
    hosts_seconds: float = 3.0  # between two looks at which hosts there are
    silent_seconds: float = 5.0  # likewise, while it does not answer
    hold_seconds: float = 0.25  # that a line waits for older ones of other hosts


async def follow(
    sources: Mapping[str, LogSource],
    wanted: Wanted,
    found: Found,
    *,
    clock: Clock,
    tell: Tell,
    pace: Pace | None = None,
    hosts_now: HostsNow | None = None,
) -> AsyncGenerator[Line]:
    """Lines of all containers as they come, also of those that appear later; never ends by itself.

    `hosts_now` blocks, and answers the hosts to follow at that moment: those that are new join. Hosts in
    `found.silent` count as told of. `wanted.until` has no meaning here. Raises what is neither a host's
    silence nor an engine's refusal to read one log, and what `hosts_now` raises.
    """
    pace = pace or Pace()
    marks = Marks()
    async with contextlib.aclosing(read(sources, wanted, found, tell=_unsaid, marks=marks)) as before:
        async for line in before:
            yield line
    arrived: asyncio.Queue[Line | Exception] = asyncio.Queue(_QUEUE_LINES)

    def follower(host: str, source: LogSource) -> _HostFollower:
        joins = host not in sources
        return _HostFollower(
            host=host,
            source=source,
            wanted=wanted,
            clock=clock,
            tell=tell,
            pace=pace,
            marks=marks,
            arrived=arrived,
            silent=host in found.silent,
            known={one.id for one in found.containers.get(host, ())},
            first=frozenset() if joins else None,  # all that a new host has came meanwhile
        )

    async def run() -> None:
        """Follow all hosts; what ends that comes out where lines are read."""
        try:
            async with asyncio.TaskGroup() as group:
                followed: set[str] = set()
                now = sources
                while True:
                    for host in now.keys() - followed:
                        followed.add(host)
                        group.create_task(follower(host, now[host]).run())
                    await clock.sleep(pace.hosts_seconds)
                    now = sources if hosts_now is None else await asyncio.to_thread(hosts_now)
        except ExceptionGroup as raised:
            await arrived.put(raised.exceptions[0])

    following = asyncio.create_task(run())
    try:
        async with contextlib.aclosing(ordered(arrived, hold_seconds=pace.hold_seconds)) as lines:
            async for line in lines:
                if wanted.shows(line):
                    yield line
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


def _unsaid(_host: str, _error: OutsideError) -> None:
    """Following meets the same error right away, and tells it."""


@dataclass(slots=True, kw_only=True)
class _HostFollower:
    """Follows every wanted container of one host with a task of its own."""

    host: str
    source: LogSource
    wanted: Wanted
    clock: Clock
    tell: Tell
    pace: Pace
    marks: Marks
    arrived: asyncio.Queue[Line | Exception]
    silent: bool
    known: set[str]  # ids of those that are read, or were
    first: frozenset[str] | None = None  # ids at its first answer; None: it gave none yet
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    begun: dict[str, float] = field(default_factory=dict[str, float])  # first reading, seconds of the epoch
    over: set[str] = field(default_factory=set[str])  # ended, and read to the end since
    refused: set[str] = field(default_factory=set[str])  # the engine does not show their logs
    unfinished: dict[str, Line] = field(default_factory=dict[str, Line])
    """What logs ended with, without a line end: it comes again, whole, unless the container goes."""

    async def run(self) -> None:
        """Go on until cancelled."""
        try:
            while True:
                try:
                    containers = await listed(self.host, self.source, self.wanted)
                except OutsideError as error:
                    if error.code not in SILENT:
                        raise
                    self._miss(error)
                else:
                    await self._take(containers)
                self._raise_failed()
                await self.clock.sleep(self.pace.silent_seconds if self.silent else self.pace.look_seconds)
        finally:
            await self._stop_reading()

    def _miss(self, error: OutsideError) -> None:
        if not self.silent:
            self.silent = True
            self.tell(self.host, error)

    async def _take(self, containers: list[Container]) -> None:
        """See to it that each container that is wanted, or was, is read."""
        if self.silent:
            self.silent = False
            self.tell(self.host, None)
            await self._stop_reading()
        if self.first is None:
            self.first = frozenset(one.id for one in containers)
        for container in containers:
            if self._follows(container):
                self._see_to(container)
        for gone in self.unfinished.keys() - {one.id for one in containers}:
            await self.arrived.put(self.unfinished.pop(gone))

    def _follows(self, container: Container) -> bool:
        """Whether it is wanted, was, or came meanwhile, though it may have ended by now."""
        came = self.first is not None and container.id not in self.first
        service = self.wanted.service in {None, container.service}
        return self.wanted.chooses(container) or container.id in self.known or (came and service)

    def _see_to(self, container: Container) -> None:
        task = self.tasks.get(container.id)
        if container.id in self.refused or (task is not None and not task.done()):
            return
        ended = has_ended(container)
        if ended and container.id in self.over:
            return
        self._raise_failed()
        if ended:
            self.over.add(container.id)
        else:
            self.over.discard(container.id)
        self.tasks[container.id] = asyncio.create_task(self._read(container, lives=not ended))

    async def _read(self, container: Container, *, lives: bool) -> None:
        """One reading of a log, from the container's mark; of one that lives, its last words at once too."""
        try:
            if lives:
                await self._pass_on(container, follow=True)
            await self._pass_on(container, follow=False)
        except OutsideError as error:
            if error.code == ENGINE_REFUSED:
                self.refused.add(container.id)
                self.tell(self.host, error)
            elif error.code not in SILENT:
                raise
            self.over.discard(container.id)

    async def _pass_on(self, container: Container, *, follow: bool) -> None:
        mark = self.marks.of(container.id)
        sieve = mark.sieve()
        tail, since = self._beginning(container.id, mark)
        lines = self.source.follow_logs(container.id, tail=tail, since=since, follow=follow)
        async with contextlib.aclosing(lines):
            async for found in lines:
                if not sieve.passes(found.at):
                    continue
                line = line_of(self.host, container, found)
                if follow and not found.whole:
                    self.unfinished[container.id] = line
                    continue
                await self.arrived.put(line)
                mark.note(found.at)
                self.unfinished.pop(container.id, None)

    def _beginning(self, container: str, mark: Mark) -> tuple[int | None, float | None]:
        """`tail` and `since` of a reading: from the mark, else all that was not to be left out.

        Without a mark the old lines of one that was there at the beginning were read before, and there were
        none, unless its host was silent then or nobody wanted them.
        """
        if mark.since is not None:
            return None, mark.since
        before = self.begun.get(container)
        self.begun.setdefault(container, self.clock.now().timestamp())
        came = self.first is not None and container not in self.first
        read = container in self.known
        self.known.add(container)
        if came or (read and self.wanted.tail != 0):
            return None, self.wanted.since
        if before is not None and self.wanted.tail == 0:
            return None, before
        return self.wanted.tail, self.wanted.since

    def _raise_failed(self) -> None:
        """Raise what ended a reading and is no silence."""
        for task in self.tasks.values():
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _stop_reading(self) -> None:
        """End all readings; marks stay."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        self.tasks.clear()
