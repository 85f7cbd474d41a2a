"""What shows that something a Release has just brought fails, though it passed its gate.

A container that ended, is restarted or says that it is unhealthy; and requests that a gateway answers with
5xx: more than one in twenty of those it counted since the first look, over the share that it had counted
until then. So an app that always answers some requests so is none the worse for its new version. A gateway
that begins to count anew, because it was restarted, is counted anew.

What does not answer shows nothing: a host or a gateway that is silent now is looked at again a second later.
Nothing is changed and nothing recorded here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from events.catalog import Failure
from events.kernel.errors import OutsideError, error_code
from events.manifest import Manifest
from projections.converge.adopted import hash_as_it_is
from projections.converge.failures import failed_container, last_lines
from projections.converge.site import Equipment, Site
from projections.converge.terminal import terminal
from projections.edge.port import Counters, Edge
from projections.engine.port import Container

REQUESTS_FAILED = error_code(
    "requests-failed", "While a Release was watched, too many requests to what it brought failed with 5xx."
)

MOST_FAILED = 0.05  # of the requests, over the share before
LEAST_REQUESTS = 20  # fewer say nothing
_NOTHING = Counters(requests=0, failed=0)


@dataclass(slots=True, kw_only=True)
class _Count:
    """Of one gateway and one service."""

    before: Counters  # until the first look
    base: Counters  # from which is counted
    now: Counters

    def take(self, now: Counters) -> None:
        """Note what it says now."""
        if now.requests < self.now.requests:
            self.base = _NOTHING
        self.now = now

    @property
    def since(self) -> Counters:
        """Since the first look, or since it was restarted."""
        return Counters(
            requests=self.now.requests - self.base.requests,
            failed=max(0, self.now.failed - self.base.failed),
        )


@dataclass(slots=True, kw_only=True)
class Symptoms:
    """The services of one Manifest that are watched, looked at again and again."""

    equipment: Equipment
    manifest: Manifest
    services: tuple[str, ...]
    _restarts: dict[str, int] = field(default_factory=dict[str, int])  # by container, at its first look
    _counts: dict[tuple[str, str], _Count] = field(default_factory=dict[tuple[str, str], _Count])

    async def look(self) -> Failure | None:
        """The first thing that fails now, containers before requests; None: nothing is seen to fail."""
        for host in sorted(self.manifest.hosts):
            if host not in self.equipment.engines:
                continue
            site = self.equipment.site(self.manifest, host)
            try:
                failure = await self._look_at(site)
                await self._count(site)
            except (OSError, OutsideError):
                continue
            if failure is not None:
                return failure
        return next((found for one in self.services if (found := self._failing(one)) is not None), None)

    def counted(self, *services: str) -> Counters:
        """What all gateways counted since the first look; without names of all services."""
        chosen = [one.since for (_, name), one in self._counts.items() if not services or name in services]
        return _sum(chosen)

    async def _look_at(self, site: Site) -> Failure | None:
        for container in await site.containers(site.compose_project):
            if not self._is_watched(site, container):
                continue
            detail = await site.engine.inspect(container.id)
            if detail is None:
                continue  # it went in between, and whoever took it away had a reason
            restarts = self._restarts.setdefault(container.id, detail.restart_count)
            found = terminal(detail, restarts=restarts)
            if found is not None:
                return failed_container(
                    found.code,
                    f"{found.message} while its Release was watched",
                    host=site.host,
                    service=container.service or "",
                    detail=detail,
                    log_tail=await last_lines(site.engine, container.id),
                )
        return None

    def _is_watched(self, site: Site, one: Container) -> bool:
        """Whether it is of the new version of a watched service: an old one may end, that is its fate."""
        name = one.service or ""
        service = self.manifest.hosts[site.host].services.get(name)
        if name not in self.services or service is None or one.one_off or not site.owner.owns(one):
            return False
        return one.service_hash in {service.hash, hash_as_it_is(service.hash)}

    async def _count(self, site: Site) -> None:
        """Ask the gateway of a host, if it has one, what it has counted."""
        edge = self._edge_of(site)
        if edge is None or not await edge.runs():
            return
        told = (await edge.told()).backends
        for service in self.services:
            if service not in told:
                continue
            now = await edge.counters(told[service])
            known = self._counts.get((site.host, service))
            if known is None:
                self._counts[site.host, service] = _Count(before=now, base=now, now=now)
            else:
                known.take(now)

    def _edge_of(self, site: Site) -> Edge | None:
        routing, edges = self.manifest.routing, self.equipment.edges
        if routing is None or edges is None:
            return None
        if routing.gateway.service not in self.manifest.hosts[site.host].services:
            return None
        return edges.at(site.place, routing.gateway)

    def _failing(self, service: str) -> Failure | None:
        """Whether too many requests of a service failed, over all gateways together."""
        since = self.counted(service)
        before = _sum(one.before for (_, name), one in self._counts.items() if name == service)
        former = before.failed / before.requests if before.requests >= LEAST_REQUESTS else 0.0
        if since.requests < LEAST_REQUESTS or since.failed / since.requests <= former + MOST_FAILED:
            return None
        usual = f"; {former:.1%} of them did before" if former else ""
        return Failure(
            code=REQUESTS_FAILED,
            message=f"{since.failed} of {since.requests} requests to {service} failed with 5xx",
            cause="repository",
            service=service,
            why=f"more than {MOST_FAILED:.0%} of them{usual}",
            next=f"look at what it says: stagecraft logs {service}",
        )


def _sum(counters: Iterable[Counters]) -> Counters:
    found = list(counters)
    return Counters(requests=sum(one.requests for one in found), failed=sum(one.failed for one in found))
