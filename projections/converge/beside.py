"""Start-first: new containers of a wave's services run beside the old ones and take over when they are up.

    begin      new ones are made by Compose beside the old ones, which it leaves alone; recorded
    (gate)     of the new ones only, by whoever calls: an old one that is sick does not keep its cure out
    take_over  the new ones get the old ones' names, then the requests (`handover.py`), which may take a while
    retire     old ones that nobody is connected to are stopped with their grace period, recorded, removed

Until `retire` begins no old container that runs has been touched, so whatever fails before is undone by
`withdraw`: the old ones get the requests again, what the new ones leave is recorded, then they go. All new
ones of a service stand before the first old one goes, so it needs its memory twice for a while. One after the
other was dropped: two versions would answer for as long as there are replicas, and a failure half-way would
leave both.

A process may die anywhere in here. What runs by the Manifest then counts as new and everything else as old,
so the next one begins where this one ended: it makes what is missing, gates again, retires what is left.
Compose starts whatever has ended when it makes one more, so the old containers that have ended go first;
they serve nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from events.catalog import Failure
from events.kernel.errors import StagecraftError
from events.manifest import HostManifest
from projections.converge.adopted import hash_as_it_is
from projections.converge.conflicts import replicas, reserved_names
from projections.converge.exchange import Exchange
from projections.converge.failures import FATAL, failure_of
from projections.converge.handover import Handovers
from projections.converge.names import plan_exchange
from projections.converge.operations import Operation
from projections.converge.presence import Replicas, explained, not_there, replicas_there
from projections.converge.switch import Switchboard
from projections.engine.port import App, Container

_MOST_AT_ONCE = 4  # stops on one engine; each takes up to its own grace period, and a thread


@dataclass(slots=True, kw_only=True)
class SideBySide:
    """The exchanges of one wave that are made side by side; without operations each step does nothing.

    A service may take over and let its old ones go before the others of its wave have passed.
    """

    exchange: Exchange
    content: HostManifest
    app: App
    operations: Sequence[Operation]  # each `beside`
    began: float = 0.0  # monotonic seconds
    old: dict[str, tuple[Container, ...]] = field(default_factory=dict[str, tuple[Container, ...]])
    new: dict[str, tuple[Container, ...]] = field(default_factory=dict[str, tuple[Container, ...]])
    """By service; what is there of them, once `begin` has ended or failed."""
    arriving: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """By service the ids of those of `new` that have not passed a gate yet, of this run or one that died."""
    cleared: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])  # ids likewise
    over: set[str] = field(default_factory=set[str])  # services whose old ones go
    board: Switchboard | None = None  # None: no gateway passes anything on
    handovers: Handovers = field(init=False)

    def __post_init__(self) -> None:
        self.handovers = Handovers(board=self.board, host=self.exchange.site.host)

    async def begin(self) -> None:
        """Make the new containers and record them. Raises what did not start."""
        if not self.operations:
            return
        site = self.exchange.site
        self.began = site.clock.monotonic()
        await self._clear()
        before = await replicas_there(site)
        self._sort(before)
        counts = {
            name: len(before.get(name, ())) + missing
            for name in self._names
            if (missing := self._wanted(name) - len(self.new[name])) > 0
        }
        try:
            if counts:
                await site.engine.up_beside(self.app, counts)
        except StagecraftError as error:
            if error.code in FATAL:
                raise
            after = await replicas_there(site)
            self._record_begun(before, after)
            told = await explained(site, error, self.app, names=self._names, before=before, after=after)
            raise await self.exchange.kept(told) from error
        self._record_begun(before, await replicas_there(site))
        for name in self._names:
            if len(self.new[name]) < self._wanted(name):
                raise not_there(site, name, found=len(self.new[name]), wanted=self._wanted(name))

    async def take_over(self, services: Collection[str]) -> None:
        """Names first, then requests, which are handed over in further calls where that takes a while."""
        for operation in self._left(services):
            name = operation.service
            if name in self.handovers.under_way:
                continue
            names = reserved_names(
                self.exchange.site.compose_project, {name: self.content.compose["services"][name]}
            )
            with self.exchange.site.errors_here(name):
                for step in plan_exchange(names, coming=self.new[name], going=self.old[name]):
                    await self.exchange.site.engine.rename(step.id, step.to)
            self.exchange.site.tell(
                f"{len(self.new[name])} new up beside {len(self.old[name])} old", service=name
            )
            gate = self.content.services[name].gate
            self.handovers.begin(name, old=self.old[name], new=self.new[name], gate=gate)
        await self.handovers.go_on()

    async def retire(self) -> None:
        """Let old containers go that nobody is connected to any more."""
        await self._retire(await self.handovers.over())

    @property
    def settled(self) -> bool:
        """Whether the old containers of all services have gone."""
        return self.over.issuperset(self._names)

    async def _retire(self, services: Collection[str]) -> None:
        """Stop the old containers, all services at once; record each exchange, then remove them all."""
        going = self._left(services)
        if not going:
            return
        site = self.exchange.site
        self.over |= {operation.service for operation in going}
        for operation in going:
            site.tell("stop the old one", service=operation.service)
        await self._stop({operation.service: self.old[operation.service] for operation in going})
        for operation in going:
            name = operation.service
            self.exchange.record(
                name,
                old=tuple(sorted({*self.cleared[name], *(one.id for one in self.old[name])})),
                new=self.arriving[name],
                reason=operation.reason,
                rollout="start-first",
                seconds=site.clock.monotonic() - self.began,
            )
        await self._each({one.service: self.old[one.service] for one in going}, site.engine.remove)

    async def withdraw(self, error: StagecraftError) -> None:
        """Take the new containers away again, unless `error` leaves open what runs, or whose it is.

        Those that have passed a gate before stay, and so do new ones that no old one stands beside. One that
        does not go is left to whoever looks next, so that `error` stays the reason of the failure.
        """
        if error.code in FATAL:
            return
        failure = failure_of(error)
        going: dict[str, tuple[Container, ...]] = {}
        free = await self._given_back(failure)
        for operation in self._left(self._names):
            name = operation.service
            if cleared := self.cleared.get(name):
                self.exchange.record(name, old=cleared, new=(), reason=operation.reason)
            if name in free and self.old.get(name) and (ids := self.arriving.get(name)):
                self.exchange.site.tell("take the new one away again", service=name)
                self.exchange.record_withdrawal(name, ids, failure=_as_told(failure, name))
                going[name] = tuple(one for one in self.new[name] if one.id in ids)
        try:
            await self._take_away(going)
        except StagecraftError as second:
            if second.code in FATAL:
                raise
            self.exchange.site.tell(f"a new container is left beside the old one: {second.message}")

    async def _given_back(self, failure: Failure) -> frozenset[str]:
        """The services whose old containers have all requests, or could be given them."""
        names = frozenset(one.service for one in self._left(self._names))
        try:
            return await self.handovers.give_back(names, reason=failure.message)
        except StagecraftError as second:
            if second.code in FATAL:
                raise
            self.exchange.site.tell(f"requests still go to a new container: {second.message}")
            return names - {name for name, one in self.handovers.under_way.items() if one.moved}

    async def _take_away(self, containers: Mapping[str, Sequence[Container]]) -> None:
        await self._stop(containers)
        await self._each(containers, self.exchange.site.engine.remove)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(operation.service for operation in self.operations)

    def _left(self, services: Collection[str]) -> list[Operation]:
        """The operations of these services whose old containers have not begun to go."""
        return [one for one in self.operations if one.service in services and one.service not in self.over]

    def _wanted(self, name: str) -> int:
        return replicas(self.content.compose["services"][name])

    async def _clear(self) -> None:
        """Remove what has ended: Compose would start it again."""
        for operation in self.operations:
            name = operation.service
            self.cleared[name] = ()
            with self.exchange.site.errors_here(name):
                for container in operation.removes_first:
                    await self.exchange.site.engine.remove(container)
                    self.cleared[name] += (container,)

    def _sort(self, found: Replicas) -> None:
        """Old is what the plan said has to go, new what is by the Manifest; what came since is neither."""
        for operation in self.operations:
            name, going = operation.service, set(operation.containers)
            wanted = self.content.services[name].hash
            right = {wanted, hash_as_it_is(wanted)}
            present = found.get(name, ())
            self.old[name] = tuple(one for one in present if one.id in going)
            self.new[name] = tuple(
                one for one in present if one.id not in going and one.service_hash in right
            )

    def _record_begun(self, before: Replicas, after: Replicas) -> None:
        """Note what there is now, and record the new ones that no event speaks of."""
        self._sort(after)
        for operation in self.operations:
            name = operation.service
            known = {one.id for one in before.get(name, ())}
            here = {one.id for one in self.new[name]}
            resumed = self.exchange.unproven(here & known)
            self.arriving[name] = tuple(sorted((here - known) | resumed))
            made = (here - known) | self.exchange.unannounced(resumed)
            if made:
                old = tuple(one.id for one in self.old[name])
                self.exchange.record_beside(name, old=old, new=tuple(sorted(made)), reason=operation.reason)

    async def _stop(self, containers: Mapping[str, Sequence[Container]]) -> None:
        """Stop them all, each with its own grace period. Raises the first error after all."""
        await self._each(containers, self.exchange.site.engine.stop)

    async def _each(
        self, containers: Mapping[str, Sequence[Container]], act: Callable[[str], Awaitable[None]]
    ) -> None:
        """Do something to them all, some at once. Raises the first error after all."""
        turns = asyncio.Semaphore(_MOST_AT_ONCE)

        async def one_turn(service: str, container: Container) -> None:
            async with turns:
                with self.exchange.site.errors_here(service):
                    await act(container.id)

        ends = [one_turn(name, one) for name, group in containers.items() for one in group]
        for end in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(end, BaseException):
                raise end


def _as_told(failure: Failure, service: str) -> Failure:
    """The failure, with its evidence for the service that it is of."""
    if failure.service in {None, service}:
        return failure
    return failure.model_copy(update={"log_tail": (), "health_output": ""})
