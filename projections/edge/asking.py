"""Requests of our own while traffic moves: the proof that none was lost.

    start    before the first switch: for each service with a probe, on each host with a gateway
    (ask)    so many a second, whatever became of the ones before
    stop     after the last drain: the ones under way are waited for, then counted

A request is due at a moment that was fixed when the asking began, and is sent in a task of its own over a
connection of its own. So a gateway that hangs is asked on and each request that it leaves waiting counts; one
that waited for its answer before it asked again would see a single failure. When this process itself was
late, what it missed is left out and not made up for all at once: a burst would be a load of its own.

Nothing here hinders a Release. Where a gateway cannot be asked, that is said once and no request is counted;
when its host is lost on the way, what it would have answered is not known and not counted either. What is
kept is a few numbers for each service, and it ends by itself when nobody ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from events.kernel.errors import StagecraftError
from projections.edge.entrance import asked_route, doors
from projections.edge.question import ANSWER_SECONDS, Door, Question, ask
from projections.edge.series import Asked, Series, summed

if TYPE_CHECKING:
    from events.routes import RequestProbe, Routing
    from projections.converge.site import Site

LONGEST_SECONDS = 3600.0  # a drain may take longer; that nothing is lost was seen by then
_AGAIN_SECONDS = 1.0  # between two looks for the entry point while nobody takes connections
_MOST_OPEN = 1000  # requests under way; what is due beyond is left out
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL})
"""Of a connection that could not be made, when this machine is to blame."""


@dataclass(slots=True, kw_only=True)
class Prober:
    """The asking of one run of a Release; `stop` ends it."""

    answer_seconds: float = ANSWER_SECONDS  # that a request may take, to the end of its answer
    longest_seconds: float = LONGEST_SECONDS  # after which it ends by itself
    _asked: dict[tuple[str, str], Series] = field(default_factory=dict[tuple[str, str], Series])
    """By service and the gateway's host."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, sites: Mapping[str, Site], routing: Routing) -> None:
        """Begin where a probe is wanted and a gateway takes connections; what is in the way is said."""
        self._over = asyncio.Event()
        for service in routing.routed:
            traffic = routing.traffic.get(service)
            if traffic is None or traffic.probe is None:
                continue
            for host, site in sorted(sites.items()):
                way = _Way(site=site, routing=routing, answer_seconds=self.answer_seconds)
                if why := await way.find(service, traffic.probe):
                    site.tell(f"no probe: {why}", service=service)
                else:
                    site.tell(f"{way.question}, {traffic.probe.rate} times a second", service=service)
                    series = self._asked.setdefault((service, host), Series())
                    line = _Line(way=way, rate=traffic.probe.rate, series=series)
                    asking = line.run(self._over, longest_seconds=self.longest_seconds)
                    self._tasks.append(asyncio.create_task(asking))

    async def stop(self) -> None:
        """Ask no more, and wait for the answers that are due; at most as long as one may take."""
        self._over.set()
        if self._tasks:
            await asyncio.wait(self._tasks)
            self._tasks.clear()

    def asked(self, services: Collection[str]) -> Asked:
        """What came of the requests for these services so far."""
        return summed(series for (service, _), series in self._asked.items() if service in services)


@dataclass(slots=True, kw_only=True)
class _Way:
    """How a service is asked through the gateway of one host."""

    site: Site
    routing: Routing
    answer_seconds: float
    question: Question = field(init=False)
    door: Door = field(init=False)
    _entrance: str = field(init=False)

    async def find(self, service: str, probe: RequestProbe) -> str:
        """Make out what to ask and where; why that cannot be, empty when it can."""
        found = asked_route(self.routing.of(service), probe)
        if found is None:
            return "its routes pass bytes on and speak no HTTP"
        route, self.question = found
        self._entrance = route.entrance
        try:
            _ = self.question.request
            known = await self._doors()
        except ValueError as error:
            return str(error)
        except StagecraftError as error:
            return error.message
        for door in known:
            if await self._takes(door):
                self.door = door
                return ""
        where = f"the gateway's entry point `{route.entrance}`"
        if not known:
            return f"{where} is open nowhere on the host"
        return f"{where} takes no connections at {', '.join(map(str, known))}"

    async def look_again(self) -> None:
        """Go where the engine says now that the gateway listens; where it says nothing, stay."""
        with contextlib.suppress(StagecraftError):
            known = await self._doors()
            if known and self.door not in known:
                self.door = known[0]

    async def ask(self) -> int:
        """One request; raises as `question.ask`."""
        return await ask(self.question, self.door, self.site.transport, seconds=self.answer_seconds)

    async def _doors(self) -> list[Door]:
        return await doors(self.site, self.routing.gateway, self._entrance)

    async def _takes(self, door: Door) -> bool:
        try:
            stream = await self.site.transport.dial(door.address, door.port, seconds=self.answer_seconds)
        except (OSError, StagecraftError):
            return False
        stream.close()
        return True


@dataclass(slots=True, kw_only=True)
class _Line:
    """Requests for one service through one gateway. Times are those of the running loop."""

    way: _Way
    rate: int  # in a second
    series: Series
    _open: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _looked: float = 0.0  # when the door was looked for again

    async def run(self, over: asyncio.Event, *, longest_seconds: float) -> None:
        """Ask until it is over, then wait for what is under way."""
        began = now = _now()
        number = 0
        while not over.is_set() and now - began < longest_seconds:
            due = began + number / self.rate
            if due > now:
                await _pause(over, due - now)
            else:
                self._send()
                number = max(number + 1, int((now - began) * self.rate))
            now = _now()
        if self._open:
            await asyncio.wait(self._open)

    def _send(self) -> None:
        if len(self._open) < _MOST_OPEN:
            task = asyncio.create_task(self._ask())
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _ask(self) -> None:
        """One request; it is in the series when this returns."""
        self.series.sent(_now())
        try:
            status = await self.way.ask()
        except StagecraftError:
            self.series.not_sent()  # its host is lost
        except OSError as error:
            if error.errno in _OURS:
                self.series.not_sent()
                return
            self.series.unanswered(_now())
            await self._look_again()
        else:
            self.series.answered(status, _now())

    async def _look_again(self) -> None:
        """The gateway may be another container by now."""
        now = _now()
        if now - self._looked >= _AGAIN_SECONDS:
            self._looked = now
            await self.way.look_again()


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _pause(over: asyncio.Event, seconds: float) -> None:
    """Wait, no longer than until it is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await over.wait()
