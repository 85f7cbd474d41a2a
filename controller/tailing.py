"""The log lines of an environment's containers, of several hosts at once, in the order of their times.

Each container's log is a stream of its own; read ones are merged by the times that the engines gave their
lines, followed ones by the same times within the moment that they are held back for it (`interleaving.py`).
Clocks of hosts may differ, so the order between hosts is as good as their clocks; no line waits for a clock.

A host that does not answer is told once, and what the others have is shown all the same.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from controller.interleaving import merged
from events import labels
from events.kernel.errors import OutsideError, UserError, Where, error_code
from projections.converge.adopted import Adopted, dressed
from projections.converge.failures import HOST_UNKNOWN
from projections.engine.errors import ENGINE_REFUSED, ENGINE_UNREACHABLE
from projections.engine.following import NANOSECONDS
from projections.transport.port import HOST_SILENT

if TYPE_CHECKING:
    import re
    from collections.abc import AsyncGenerator, Callable, Collection, Sequence

    from controller.marks import Marks
    from controller.targets import Target
    from projections.engine.following import LogLine, LogSource
    from projections.engine.port import Container

SERVICE_UNKNOWN = error_code("service-not-in-environment", "The environment has no service of that name.")

SILENT = HOST_SILENT | HOST_UNKNOWN
ANSWER_SECONDS = 10.0  # what a host is given to list its containers
_ENDED = frozenset({"created", "exited", "dead", "removing"})
_NUMBER = "com.docker.compose.container-number"

Told = Mapping[str, OutsideError]  # by host, why it did not answer


class Lister(Protocol):
    """An engine as far as finding containers needs it."""

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        """As `Engine.containers`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines are asked for."""

    target: Target
    lineage: str  # of our log: containers of another one are not ours
    service: str | None = None
    ended: bool = False  # also containers that do not run, such as failed ones that were kept
    tail: int | None = None  # of each container, before `matches`
    since: float | None = None  # seconds of the epoch
    until: float | None = None  # likewise
    matches: re.Pattern[str] | None = None  # lines in which it is found
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
            and (self.ended or not has_ended(container))
        )

    def shows(self, line: Line) -> bool:
        """Whether a line is one of those that are asked for."""
        return self.matches is None or self.matches.search(line.text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a container's log."""

    host: str
    service: str
    index: int  # which replica it is
    container: str  # its id
    at: int  # nanoseconds of the epoch, by the host's clock
    text: str

    @property
    def source(self) -> str:
        """`app-1 web.2`."""
        return f"{self.host} {self.service}.{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The containers whose lines are asked for, and the hosts that did not say which they have."""

    containers: Mapping[str, Sequence[Container]]  # by host, of those that answered
    silent: Told

    @property
    def count(self) -> int:
        """How many containers."""
        return sum(map(len, self.containers.values()))


def has_ended(container: Container) -> bool:
    """Whether nothing more comes from it unless it is started."""
    return container.state in _ENDED


def index_of(container: Container) -> int:
    """Which replica of its service it is, as Compose counts; 1 for one that nobody counted."""
    number = container.labels.get(_NUMBER, "")
    return int(number) if number.isdecimal() else 1


def source_of(host: str, container: Container) -> str:
    """What `Line.source` is for its lines."""
    return f"{host} {container.service or ''}.{index_of(container)}"


def line_of(host: str, container: Container, line: LogLine) -> Line:
    """A line with where it comes from."""
    return Line(
        host=host,
        service=container.service or "",
        index=index_of(container),
        container=container.id,
        at=line.at,
        text=line.text,
    )


async def listed(host: str, source: Lister, wanted: Wanted) -> list[Container]:
    """The environment's containers on one host. Raises OutsideError, `engine-unreachable` after a while."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await source.containers()
    except TimeoutError as error:
        raise OutsideError(
            ENGINE_UNREACHABLE,
            f"the engine of {host} does not answer",
            where=Where(host=host),
            why=f"it said nothing for {ANSWER_SECONDS:g} s",
            next="stagecraft status --live",
        ) from error
    return [one for one in dressed(found, wanted.adopted) if wanted.has(one)]


async def choose(sources: Mapping[str, LogSource], wanted: Wanted, *, known: Collection[str]) -> Found:
    """The containers whose lines are wanted, all hosts asked at once; `known`: services by the log.

    Raises UserError `service-not-in-environment`, naming those there are, and OutsideError when no host
    answers at all or when an answer is no silence.
    """
    answers = await asyncio.gather(
        *(listed(host, source, wanted) for host, source in sources.items()), return_exceptions=True
    )
    every: dict[str, list[Container]] = {}
    silent: dict[str, OutsideError] = {}
    for host, answer in zip(sources, answers, strict=True):
        if isinstance(answer, OutsideError) and answer.code in SILENT:
            silent[host] = answer
        elif isinstance(answer, BaseException):
            raise answer
        else:
            every[host] = answer
    if silent and not every:
        raise next(iter(silent.values()))
    refuse_unknown(wanted, {*known, *(one.service or "" for found in every.values() for one in found)})
    chosen = {host: [one for one in found if wanted.chooses(one)] for host, found in every.items()}
    return Found(containers=chosen, silent=silent)


def refuse_unknown(wanted: Wanted, services: Collection[str]) -> None:
    """Raise UserError `service-not-in-environment` when the wanted service is none of these."""
    if wanted.service is not None and wanted.service not in services:
        raise UserError(
            SERVICE_UNKNOWN,
            f"{wanted.target} has no service {wanted.service!r}",
            why=f"known services: {', '.join(sorted(services)) or 'none'}",
            next=f"stagecraft status --env {wanted.target}",
        )


async def read(
    sources: Mapping[str, LogSource],
    wanted: Wanted,
    found: Found,
    *,
    tell: Callable[[str, OutsideError], None],
    marks: Marks | None = None,
) -> AsyncGenerator[Line]:
    """What the containers have written until now, in the order of its times.

    `tell` gets, with its host, each error that keeps a container's lines away. Lines that are given out are
    noted in `marks`, also those that `wanted` does not show.
    """
    streams = [
        _read_one(host, sources[host], container, wanted, tell=tell)
        for host, containers in found.containers.items()
        for container in containers
    ]
    async with aclosing(merged(streams)) as lines:
        async for line in lines:
            if marks is not None:
                marks.of(line.container).note(line.at)
            if wanted.shows(line):
                yield line


async def _read_one(
    host: str,
    source: LogSource,
    container: Container,
    wanted: Wanted,
    *,
    tell: Callable[[str, OutsideError], None],
) -> AsyncGenerator[Line]:
    """One container's lines. An engine counts `tail` from the end of the log, so with `until` we do."""
    tail = wanted.tail if wanted.until is None else None
    ours: deque[Line] | None = None if tail == wanted.tail else deque(maxlen=wanted.tail)
    last = None if wanted.until is None else int(wanted.until * NANOSECONDS)
    try:
        lines = source.follow_logs(
            container.id, tail=tail, since=wanted.since, until=wanted.until, follow=False
        )
        async with aclosing(lines):
            async for line in lines:
                if last is not None and line.at > last:
                    continue
                if ours is None:
                    yield line_of(host, container, line)
                else:
                    ours.append(line_of(host, container, line))
    except OutsideError as error:
        if error.code not in SILENT | {ENGINE_REFUSED}:
            raise
        tell(host, error)
    for kept in ours or ():
        yield kept
