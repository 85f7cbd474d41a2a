"""All gateways of one environment: told together, asked together, and put back together.

What a gateway was told is a file on its host. It is read once and then known, for whoever has the
environment's lock is the only one that writes it. A gateway that does not run is told all the same and not
asked; it does as told from its start on. Nor is one asked that runs a definition from before there were
routes.

Where a gateway's host falls silent on the way, whoever works on the environment says whether it goes on
without it; it is brought up to date by the look after its return.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from events.kernel.errors import OutsideError, StagecraftError, Where, error_code
from events.manifest import Manifest
from events.routes import Gateway
from projections.converge.failures import HOST_UNKNOWN, TAKEN_OVER
from projections.converge.hosts import look
from projections.converge.site import Site
from projections.edge.port import NOT_CONFIRMED, Backends, Edge, Told

GATEWAY_NOT_TOLD = error_code(
    "gateway-not-told", "A gateway could not be told where requests go, so what it did before stays."
)

CONFIRM_SECONDS = 10.0  # by far the slowest answer that was measured is half a second

T = TypeVar("T")
Wanted = Mapping[str, Mapping[str, Backends | None]]
"""By gateway's host and by service; None: the gateway is to pass nothing on to it any more."""


def goes_on(host: str, error: OutsideError) -> bool:
    """Whoever keeps what is deployed goes on without a gateway that is silent."""
    del host, error
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of telling."""

    told: tuple[str, ...] = ()  # hosts whose gateway had to be told something, sorted
    asked: tuple[str, ...] = ()  # hosts whose gateway has confirmed it, sorted


@dataclass(slots=True, kw_only=True)
class Gateways:
    """The gateways that one Manifest has."""

    gateway: Gateway
    edges: Mapping[str, Edge]  # by host
    sites: Mapping[str, Site]  # by host, likewise
    manifest: Manifest
    known: Manifest | None = None  # what ran before
    absent: Callable[[], Collection[str]] = frozenset  # hosts that are left out
    goes_on_without: Callable[[str, OutsideError], bool] = goes_on
    _told: dict[str, Told] = field(default_factory=dict[str, Told])
    _gone: set[str] = field(default_factory=set[str])  # fell silent, and it goes on without them

    @property
    def present(self) -> tuple[str, ...]:
        """The hosts of those that are told, sorted."""
        left = {*self._gone, *self.absent()}
        return tuple(host for host in sorted(self.edges) if host not in left)

    async def told(self, host: str, *, anew: bool = False) -> Told:
        """What a gateway was told last; what cannot be read because it fell silent is nothing.

        Raises OutsideError `gateway-not-told`.
        """
        if anew or host not in self._told:
            found = await self._at(host, self.edges[host].told)
            if found is None:
                return Told()
            self._told[host] = found
        return self._told[host]

    async def running(self, host: str) -> bool:
        """Whether a gateway runs there that does as it is told."""
        return bool(await self._replicas(host))

    async def bring_about(self, wanted: Wanted, *, asks_all: bool = False, puts_back: bool = True) -> Done:
        """Tell what differs, and wait until all that run do so; `asks_all`: of the rest of `wanted` too.

        With `puts_back` all are as before after a failure, as far as they answer. Raises OutsideError with
        a code in `NOT_CONFIRMED`, `gateway-not-told`, UserError `route-refused` and what a fence raises.
        """
        former: dict[tuple[str, str], Backends | None] = {}
        try:
            for host in self._of(wanted):
                await self._tell(host, wanted[host], former)
            asked = await self._ask(
                {
                    host: {
                        name: one for name, one in wanted[host].items() if asks_all or (host, name) in former
                    }
                    for host in self._of(wanted)
                }
            )
        except StagecraftError as error:
            if puts_back and error.code not in TAKEN_OVER:
                await self._put_back(former)
            raise
        return Done(told=tuple(sorted({host for host, _ in former})), asked=asked)

    async def _tell(
        self, host: str, wanted: Mapping[str, Backends | None], former: dict[tuple[str, str], Backends | None]
    ) -> None:
        """Tell one gateway what differs; `former` gets what it was told before."""
        told, edge = await self.told(host), self.edges[host]
        if host in self._gone:
            return
        known = dict(told.backends)
        differing = [
            name
            for name, one in wanted.items()
            if known.get(name) != one or (one is None and name in told.altered)
        ]
        if differing:
            await self.sites[host].pass_fence()
        for name in differing:
            one = wanted[name]
            former[host, name] = known.get(name)

            async def act(name: str = name, one: Backends | None = one) -> bool:
                await (edge.forget(name) if one is None else edge.tell(one))
                return True

            if await self._at(host, act) is None:
                return
            known.pop(name, None)
            if one is not None:
                known[name] = one
            altered = tuple(each for each in told.altered if each != name)
            told = self._told[host] = Told(backends=dict(known), altered=altered, foreign=told.foreign)

    async def _ask(self, wanted: Wanted) -> tuple[str, ...]:
        """Wait until gateways that run do as told; answers which ones were asked. Raises the first error."""
        hosts = [host for host in self._of(wanted) if wanted[host]]
        ends = await asyncio.gather(
            *(self._confirmed(host, wanted[host]) for host in hosts), return_exceptions=True
        )
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return tuple(host for host, end in zip(hosts, ends, strict=True) if end)

    async def _confirmed(self, host: str, wanted: Mapping[str, Backends | None]) -> bool:
        """Whether one gateway was asked and does as told; it may end, or be exchanged, meanwhile."""
        before = await self._replicas(host)
        while before:
            try:
                return await self._at(host, lambda: self._confirm(host, wanted)) is not None
            except OutsideError as error:
                if error.code not in NOT_CONFIRMED:
                    raise
                after = await self._replicas(host)
                if after == before:
                    raise
                before = after
        return False

    async def _confirm(self, host: str, wanted: Mapping[str, Backends | None]) -> bool:
        edge = self.edges[host]
        for name, one in wanted.items():
            if one is None:
                await edge.confirm_gone(self._name(name), seconds=CONFIRM_SECONDS)
            else:
                await edge.confirm(one, seconds=CONFIRM_SECONDS)
        return True

    def _name(self, service: str) -> str:
        return f"{self.manifest.project}-{self.manifest.environment}-{service}"

    async def _put_back(self, former: Mapping[tuple[str, str], Backends | None]) -> None:
        """Tell what was told before; what fails on the way is told of, and is for the next look."""
        by_host: dict[str, dict[str, Backends | None]] = {}
        for (host, name), one in former.items():
            by_host.setdefault(host, {})[name] = one
        for host, wanted in by_host.items():
            try:
                await self._tell(host, wanted, {})
                await self._confirmed(host, wanted)
            except StagecraftError as error:
                if error.code in TAKEN_OVER:
                    raise
                self.sites[host].tell(f"the former route was not put back: {error.message}")

    async def _replicas(self, host: str) -> frozenset[str]:
        """The gateway's containers there that run and can be asked."""
        found = await self._at(host, lambda: look(self.sites[host]))
        name, owner = self.gateway.service, self.sites[host].owner
        wanted = self.manifest.hosts[host].services[name].hash
        routed_before = self.known is not None and self.known.routing is not None
        return frozenset(
            one.id
            for one in found or ()
            if owner.owns(one)
            and one.service == name
            and one.state == "running"
            and (routed_before or one.service_hash == wanted)
        )

    def _of(self, wanted: Wanted) -> tuple[str, ...]:
        return tuple(host for host in self.present if host in wanted)

    async def _at(self, host: str, act: Callable[[], Awaitable[T]]) -> T | None:
        """Do something with one gateway; None when its host fell silent and it goes on without it."""
        try:
            with self._told_of(host):
                return await act()
        except OutsideError as error:
            if error.code not in HOST_UNKNOWN:
                raise
            if self.goes_on_without(host, error):
                self._gone.add(host)
                return None
            raise OutsideError(
                GATEWAY_NOT_TOLD,
                f"the gateway on {host} cannot be told where requests go",
                where=Where(environment=self.sites[host].environment, host=host),
                why=error.message,
                next=f"stagecraft hosts check {host}",
            ) from error

    @contextmanager
    def _told_of(self, host: str) -> Generator[None]:
        """Errors of a file system, and those that name no place, are about this gateway."""
        where = Where(environment=self.sites[host].environment, host=host, service=self.gateway.service)
        try:
            yield
        except OSError as error:
            raise OutsideError(
                GATEWAY_NOT_TOLD,
                f"the files of the gateway on {host} cannot be read or written",
                where=where,
                why=str(error),
                next="check free space and permissions of the app's folder there",
            ) from error
        except StagecraftError as error:
            if error.where.host is None:
                error.where = where
            raise
