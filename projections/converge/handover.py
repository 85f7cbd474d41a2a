"""Requests on their way from old containers of a host to new ones, and the old ones' last connections.

First, where the project has steps for it, a part of the requests for a while, the gate still watching; then
all of them, for all services that are due in one word to the gateways. From then on the new containers are
the service. A request that had chosen its container before may still dial it (`GRACE_SECONDS`); after that
the old ones are looked at until nobody is connected to them, or the limit of their service is over. Nobody
waits for that but their own end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from events.manifest import Gate
from projections.converge.backends import WHOLE
from projections.converge.gates import SAMPLE_SECONDS
from projections.converge.switch import Switchboard
from projections.edge.port import Drain
from projections.engine.port import Container

GRACE_SECONDS = 0.1  # a gateway's answer and its doing were never further apart than 2 ms
SOAK_SECONDS = 5.0  # of a step, unless the gate says how long it watches


def soak_of(gate: Gate) -> float:
    """How long a step of a canary lasts."""
    return SOAK_SECONDS if gate.watch is None else gate.watch.seconds


@dataclass(slots=True, kw_only=True)
class Draining:
    """Containers that get no new requests any more."""

    board: Switchboard
    host: str
    service: str
    containers: tuple[Container, ...]
    since: float  # monotonic seconds
    over: bool = False
    _watches: list[Drain] | None = None

    async def look(self) -> bool:
        """Whether nobody is connected any more, or the limit is over; it is recorded then.

        Raises as `Switchboard.drains` and `Drain.left`.
        """
        if self.over or not self.containers:
            return True
        seconds = self.board.clock.monotonic() - self.since
        if seconds < GRACE_SECONDS:
            return False
        if self._watches is None:
            self._watches = await self.board.drains(self.host, self.service, self.containers)
        counts = [await _left(one) for one in self._watches]
        unseen, still = None in counts, sum(one or 0 for one in counts)
        late = seconds >= self.board.rule(self.service).drain_seconds
        if (unseen or still) and not late:
            return False
        self.over = True
        if still:
            self.board.sites[self.host].tell(
                f"{still} connections to the old one are cut after {seconds:.0f} s", service=self.service
            )
        ids = tuple(one.id for one in self.containers)
        self.board.log.drained(self.host, self.service, ids, began=self.since, cut=still)
        return True


async def _left(drain: Drain) -> int | None:
    """Open connections; what cannot be read is as good as unseen."""
    try:
        return await drain.left()
    except OSError:
        return None


async def drain_all(drainings: Iterable[Draining]) -> None:
    """Wait until all have let go, or their limits are over."""
    left = list(drainings)
    while left := [one for one in left if not await one.look()]:
        await left[0].board.clock.sleep(SAMPLE_SECONDS)


@dataclass(slots=True, kw_only=True)
class Handover:
    """One service."""

    service: str
    old: tuple[Container, ...]
    new: tuple[Container, ...]
    steps: list[int]  # percent, those that are still to come
    soak_seconds: float  # of each
    next_at: float = 0.0  # monotonic seconds of the next step
    shared: bool = False  # the new ones have got a part
    draining: Draining | None = None  # None: the new ones do not get all yet

    @property
    def moved(self) -> bool:
        """Whether the new ones get requests."""
        return self.shared or self.draining is not None


@dataclass(slots=True, kw_only=True)
class Handovers:
    """Those of one wave on one host; without a switchboard, or routes, each is over as soon as it begins."""

    board: Switchboard | None
    host: str
    under_way: dict[str, Handover] = field(default_factory=dict[str, Handover])

    def begin(self, service: str, *, old: Sequence[Container], new: Sequence[Container], gate: Gate) -> None:
        """A service may be handed over, from the next `go_on`."""
        routed = self.board is not None and self.board.passes_on(self.host, service)
        steps = list(self.board.rule(service).steps) if self.board is not None and routed and old else []
        self.under_way[service] = Handover(
            service=service,
            old=tuple(old),
            new=tuple(new),
            steps=[percent for percent in steps if 0 < percent < WHOLE],
            soak_seconds=soak_of(gate),
        )

    async def go_on(self) -> None:
        """What is due now. Raises as `Switchboard.take`."""
        if self.board is None:
            return
        now = self.board.clock.monotonic()
        waiting = [one for one in self.under_way.values() if one.draining is None and one.next_at <= now]
        for one in [one for one in waiting if one.steps]:
            percent = one.steps.pop(0)
            await self.board.share(self.host, one.service, old=one.old, new=one.new, percent=percent)
            one.shared, one.next_at = True, self.board.clock.monotonic() + one.soak_seconds
            waiting.remove(one)
        if not waiting:
            return
        new, old = {one.service: one.new for one in waiting}, {one.service: one.old for one in waiting}
        await self.board.take(self.host, new, old=old)
        for one in waiting:
            one.draining = self._draining(one.service, one.old)

    def _draining(self, service: str, containers: tuple[Container, ...]) -> Draining | None:
        if self.board is None or not self.board.passes_on(self.host, service):
            return None
        since = self.board.clock.monotonic()
        return Draining(board=self.board, host=self.host, service=service, containers=containers, since=since)

    async def over(self) -> frozenset[str]:
        """The services whose old containers may go."""
        if self.board is None:
            return frozenset(self.under_way)
        found = set[str]()
        for name, one in self.under_way.items():
            unrouted = not self.board.passes_on(self.host, name)
            if unrouted or (one.draining is not None and await one.draining.look()):
                found.add(name)
        return frozenset(found)

    @property
    def soaking(self) -> frozenset[str]:
        """The services whose new containers do not get all requests yet."""
        if self.board is None:
            return frozenset()
        return frozenset(name for name, one in self.under_way.items() if one.shared and one.draining is None)

    async def give_back(self, services: Collection[str], *, reason: str) -> frozenset[str]:
        """Let the old containers have the requests again; the services whose new ones may go.

        The gateways have to be told of the old ones. That they also confirm it is not waited for any longer
        than a switch: one that answers nobody reads its files all the same.
        """
        if self.board is None:
            return frozenset(services)
        back = {name: one.old for name, one in self.under_way.items() if name in services and one.moved}
        if back:
            await self.board.give_back(self.host, back, reason=reason)
        drainings = [
            Draining(
                board=self.board,
                host=self.host,
                service=name,
                containers=self.under_way[name].new,
                since=self.board.clock.monotonic(),
            )
            for name in back
        ]
        await drain_all(drainings)
        return frozenset(
            [
                name
                for name in services
                if name not in self.under_way
                or not await self.board.names(self.host, name, self.under_way[name].new)
            ]
        )
