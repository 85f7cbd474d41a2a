"""The switchboard of one environment: requests move from old containers to new ones, on all gateways at once.

`take` makes containers of a host the only ones there that get requests of their service; what other hosts
have stays as it was told. It is told, then confirmed, and put back where it is not confirmed, so afterwards
either all gateways that run do as told or all do as before. `give_back` is the way back of a Release that
fails, `reconcile` the level: what gateways were told against what runs.

Hosts are worked on side by side and gateways serve all of them, so one thing is told after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from events.kernel.clock import Clock
from events.kernel.errors import OutsideError, Where
from events.routes import Traffic as TrafficRule
from projections.converge.backends import Layout, LeftOut, Seen, alone, shared
from projections.converge.gateways import GATEWAY_NOT_TOLD, Done, Gateways, Wanted
from projections.converge.site import Site
from projections.converge.traffic_log import TrafficLog
from projections.edge.port import NOT_CONFIRMED, Backends, Drain, Edges, Server
from projections.engine.port import Container

Taken = Mapping[str, Sequence[Container]]
"""By service, the containers of a host that get its requests."""


@dataclass(slots=True, kw_only=True)
class Switchboard:
    """Routes of one Manifest on all its gateways, for one Release."""

    layout: Layout
    before: Layout  # of what ran before, as far as it had routes; else the same
    gateways: Gateways
    edges: Edges
    sites: Mapping[str, Site]  # of all hosts that this controller reaches
    clock: Clock
    log: TrafficLog
    left_out: LeftOut = field(default_factory=LeftOut)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def passes_on(self, host: str, service: str) -> bool:
        """Whether requests of a service on a host come through a gateway."""
        return host in self.layout.all_hosts(service)

    def rule(self, service: str) -> TrafficRule:
        """How the traffic of a service moves."""
        return self.layout.routing.traffic.get(service, TrafficRule())

    async def take(self, host: str, new: Taken, *, old: Taken | None = None) -> None:
        """Let containers of a host get all requests there of their services; `old` are those that had them.

        Raises as `Gateways.bring_about`, and all is as before then; so also where no gateway of a service
        answers: it may go on passing requests on to the old ones.
        """
        names = [name for name in new if self.passes_on(host, name)]
        if not names:
            return
        going = old or {}
        self._refuse_unheard(host, [name for name in names if going.get(name)])
        async with self._turn:
            if going:
                await self._begin()
            began = self.clock.monotonic()
            had = {name: await self._told_ids(host, name) for name in names}
            wanted = {
                gateway: {
                    name: await self._exchanged(gateway, host, name, new[name])
                    for name in names
                    if gateway in await self._concerned(host, name)
                }
                for gateway in self.gateways.present
            }
            done = await self.gateways.bring_about(wanted, asks_all=bool(going))
            for name in names:
                ids = {one.id for one in going.get(name, ())}
                coming = {one.id for one in new[name]}
                self.log.switched(host, name, old=had[name] | ids, new=coming, told=done.told, began=began)

    async def share(
        self, host: str, service: str, *, old: Sequence[Container], new: Sequence[Container], percent: int
    ) -> None:
        """Let new containers of a host get a part of the requests beside the old ones. Raises as `take`.

        What is drained gets none.
        """
        if self.left_out.has(host, service):
            return
        staying = {one.id for one in old}
        async with self._turn:
            await self._begin()
            wanted: dict[str, dict[str, Backends]] = {}
            for gateway in await self._concerned(host, service):
                servers = self.layout.servers(gateway, host, service, new)
                told = (await self.gateways.told(gateway)).backends.get(service)
                known = () if told is None else told.servers
                parts = shared(known, host=host, old=staying, new=servers, percent=percent)
                wanted[gateway] = {service: self.layout.backends(gateway, service, parts)}
            await self.gateways.bring_about(wanted, asks_all=True)

    async def mind_gap(self, host: str, services: Collection[str]) -> None:
        """Have gateways ready for services whose containers on a host go before the new ones are there.

        Its other hosts answer alone; where there are none the gateway tries until somebody takes the
        connection. Raises as `take`.
        """
        self._refuse_unheard(host, [one for one in services if self.passes_on(host, one)])
        async with self._turn:
            wanted: dict[str, dict[str, Backends]] = {}
            for gateway in self.gateways.present:
                for name in (one for one in services if self._answers(host, one)):
                    told = (await self.gateways.told(gateway)).backends.get(name)
                    if told is not None and gateway in await self._concerned(host, name):
                        wanted.setdefault(gateway, {})[name] = self._bridged(gateway, host, name, told)
            await self.gateways.bring_about(wanted)

    def _bridged(self, gateway: str, host: str, service: str, told: Backends) -> Backends:
        """What a gateway does while a host has nobody to answer."""
        others = [one for one in told.servers if one.host != host]
        here = [self.layout.by_name(host, service)] if gateway == host else told.on(host)
        chosen = alone(told.servers, host=host, new=() if others else here)
        return told.model_copy(update={"servers": chosen, "retries": told.retries or not others})

    async def give_back(self, host: str, old: Taken, *, reason: str) -> None:
        """Let old containers of a host get the requests of their services again, and be alone with that.

        Raises as `take`.
        """
        names = [name for name in old if host in self.before.all_hosts(name)]
        if not names:
            return
        async with self._turn:
            wanted: dict[str, dict[str, Backends]] = {}
            for gateway in self.gateways.present:
                for name in [one for one in names if gateway in await self._concerned(host, one)]:
                    told = (await self.gateways.told(gateway)).backends.get(name)
                    hidden = self.left_out.has(host, name)
                    here = () if hidden else self.before.servers(gateway, host, name, old[name])
                    servers = alone(() if told is None else told.servers, host=host, new=here)
                    made = self.before.backends(gateway, name, servers)
                    wanted.setdefault(gateway, {})[name] = self._shown(self.before, gateway, made, told)
            done = await self._told_at_least(wanted)
            for name in names:
                ids = tuple(one.id for one in old[name])
                self.log.restored(host, name, ids, told=done.told, reason=reason)

    async def _told_at_least(self, wanted: Wanted) -> Done:
        """Tell, and wait for the answers; that one does not come is told of, and changes nothing."""
        try:
            return await self.gateways.bring_about(wanted, asks_all=True, puts_back=False)
        except OutsideError as error:
            if error.code not in NOT_CONFIRMED:
                raise
            host = error.where.host or self.gateways.present[0]
            self.sites[host].tell(f"the way back is not confirmed: {error.message}")
            return Done(told=tuple(sorted(wanted)))

    async def names(self, host: str, service: str, containers: Sequence[Container]) -> bool:
        """Whether a gateway is told of one of these containers."""
        return not {one.id for one in containers}.isdisjoint(await self._told_ids(host, service))

    async def drains(self, host: str, service: str, containers: Sequence[Container]) -> list[Drain]:
        """The watches over containers of a host that get no new requests; none where no gateway runs.

        Raises as `Edges.drain`.
        """
        concerned = await self._concerned(host, service)
        running = [one for one in concerned if await self.gateways.running(one)]
        if not running:
            return []
        ports = self.layout.ports(service) | self.before.ports(service)
        place, gateway = self.sites[host].place, self.gateways.gateway
        elsewhere = any(one != host for one in running)
        return [
            await self.edges.drain(place, gateway, one.id, ports=ports, elsewhere=elsewhere)
            for one in containers
        ]

    async def leave_out(self, services: Mapping[str, Collection[str]]) -> None:
        """Pass nothing on, by host, to services that are about to stop for good. Raises as `take`."""
        async with self._turn:
            wanted: dict[str, dict[str, Backends | None]] = {}
            for gateway in self.gateways.present:
                for name, one in (await self.gateways.told(gateway)).backends.items():
                    servers = [each for each in one.servers if name not in services.get(each.host, ())]
                    if len(servers) < len(one.servers):
                        left = one.model_copy(update={"servers": tuple(servers)})
                        wanted.setdefault(gateway, {})[name] = left
            await self.gateways.bring_about(wanted, puts_back=False)

    async def reconcile(
        self,
        seen: Seen,
        *,
        reason: str,
        keeps: Collection[str] = (),
        asks_all: bool = False,
        wary: bool = False,
    ) -> bool:
        """Tell gateways what they are to do by what runs, where that differs; whether something did.

        `keeps` are services that are not in the Manifest and whose routes stay. With `asks_all` each gateway
        that runs has to confirm everything, with `wary` where a foreign file may keep one from doing so. What
        it was told stays after a failure: it is nearer to the truth than what was there before. Raises as
        `take`.
        """
        async with self._turn:
            began = self.clock.monotonic()
            wanted: dict[str, dict[str, Backends | None]] = {}
            differing: set[str] = set()
            sure = asks_all
            for gateway in self.gateways.present:
                told = await self.gateways.told(gateway, anew=True)
                found = self.layout.wanted(gateway, seen=seen, told=told.backends, left_out=self.left_out)
                leaving = {*told.backends, *told.altered} - {*found, *keeps}
                wanted[gateway] = {**found, **dict.fromkeys(sorted(leaving))}
                differing |= leaving | {name for name, one in found.items() if told.backends.get(name) != one}
                sure = sure or (wary and bool(told.foreign))
            done = await self.gateways.bring_about(wanted, asks_all=sure, puts_back=False)
            if done.told:
                names = {name: any(one.get(name) for one in wanted.values()) for name in differing}
                self.log.told(done.told, names, reason=reason, began=began)
            return bool(done.told)

    async def _exchanged(self, gateway: str, host: str, service: str, new: Sequence[Container]) -> Backends:
        """What a gateway was told of a service, with these containers of a host alone."""
        told = (await self.gateways.told(gateway)).backends.get(service)
        known: tuple[Server, ...] = () if told is None else told.servers
        hidden = self.left_out.has(host, service)
        here = () if hidden else self.layout.servers(gateway, host, service, new)
        made = self.layout.backends(gateway, service, alone(known, host=host, new=here))
        return self._shown(self.layout, gateway, made, told)

    def _shown(self, layout: Layout, gateway: str, made: Backends, told: Backends | None) -> Backends:
        """The same with the page, by what is known of those who serve it."""
        return layout.shown(gateway, made, seen=Seen(), told=told, left_out=self.left_out)

    def _answers(self, host: str, service: str) -> bool:
        """Whether a service on a host gets requests: it has routes, and nobody drained it."""
        return self.passes_on(host, service) and not self.left_out.has(host, service)

    async def _told_ids(self, host: str, service: str) -> set[str]:
        """The containers of a host that a gateway passes requests of a service on to."""
        told = [(await self.gateways.told(one)).backends.get(service) for one in self.gateways.present]
        return {
            server.container for one in told if one is not None for server in one.on(host) if server.container
        }

    def _refuse_unheard(self, host: str, services: Collection[str]) -> None:
        """Refuse to take containers away that a gateway which nobody can tell anything may still ask.

        One of several may be silent: that was somebody's word. Raises OutsideError `gateway-not-told`.
        """
        for service in services:
            gateways = self.layout.gateways_of(host, service)
            if gateways and not set(gateways) & set(self.gateways.present):
                raise OutsideError(
                    GATEWAY_NOT_TOLD,
                    f"no gateway that passes requests on to {service} answers",
                    where=Where(environment=self.sites[host].environment, host=gateways[0], service=service),
                    why="it may go on asking the containers that were to be replaced",
                    next=f"stagecraft hosts check {gateways[0]}",
                )

    async def _concerned(self, host: str, service: str) -> list[str]:
        """The gateways that pass on to a service on a host, or were told to."""
        by_layout = {*self.layout.gateways_of(host, service), *self.before.gateways_of(host, service)}
        found: list[str] = []
        for gateway in self.gateways.present:
            told = (await self.gateways.told(gateway)).backends.get(service)
            if gateway in by_layout or (told is not None and told.on(host)):
                found.append(gateway)
        return found

    async def _begin(self) -> None:
        """Whoever asks meanwhile begins, where a gateway runs that can be asked."""
        running = [one for one in self.gateways.present if await self.gateways.running(one)]
        if running:
            await self.log.traffic.begin({host: self.sites[host] for host in running}, self.layout.routing)
