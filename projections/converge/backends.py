"""Which containers a gateway is to pass requests on to: from a Manifest's routes and what runs; pure.

A container on the gateway's own host is named by its id; one elsewhere by its host's address and the port
there that its engine gave it. A gateway passes on to its own host and to hosts without a gateway; to another
gateway's host only while it has nobody else: a host that is lost takes its own visitors along, not a share of
everybody's.

A service that is replaced in its place is named by its own name in the network, whoever has it: an id would
be dead in between, and the gateway's further tries would go on asking for it. Elsewhere that is not possible;
there the others of its service answer meanwhile, or the gateway tries again until the new one is told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from events.kernel.addresses import is_loopback
from events.manifest import HostManifest, Manifest
from events.rollout import rollout_of
from events.routes import Maintenance, Routing
from projections.converge.adopted import hash_as_it_is
from projections.edge.port import Backends, Page, Server
from projections.engine.port import Container
from projections.engine.sweep import Owner

_NAME_DIGITS = 12  # of an id: a container's name in the networks it is on
_ANYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  # what an engine says of a port on every address
WHOLE = 100  # percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Who passes on to whom, as a Manifest says."""

    manifest: Manifest
    routing: Routing
    gateways: tuple[str, ...]  # hosts that a gateway runs on, sorted
    addresses: Mapping[str, str] = field(default_factory=dict[str, str])  # of hosts, as others reach them

    def gateways_of(self, host: str, service: str) -> tuple[str, ...]:
        """The hosts whose gateway passes on to a service on a host; none for what has no routes there."""
        return tuple(gateway for gateway in self.gateways if host in self.hosts_of(gateway, service))

    def hosts_of(self, gateway: str, service: str) -> tuple[str, ...]:
        """The hosts of a service that a gateway passes on to, sorted."""
        every = self.all_hosts(service)
        near = tuple(host for host in every if host == gateway or host not in self.gateways)
        return near or every

    def all_hosts(self, service: str) -> tuple[str, ...]:
        """The hosts that a service with routes runs on, sorted."""
        if service not in self.routing.routed:
            return ()
        hosts = sorted(self.manifest.hosts.items())
        return tuple(host for host, content in hosts if _lasts(content, service))

    def ports(self, service: str) -> frozenset[int]:
        """The ports in a service's containers that routes name."""
        return frozenset(route.port for route in self.routing.of(service))

    def in_place(self, host: str, service: str) -> bool:
        """Whether the Manifest says that a service is replaced in its place on a host."""
        content = self.manifest.hosts[host]
        asked = content.services[service].rollout
        return rollout_of(service, content.compose["services"], asked=asked).strategy == "stop-first"

    def servers(
        self, gateway: str, host: str, service: str, containers: Sequence[Container]
    ) -> tuple[Server, ...]:
        """The containers of a service on one host as a gateway has to name them.

        One whose host gave it no port, or whose host has no address, is left out.
        """
        if host == gateway and self.in_place(host, service):
            return (self.by_name(host, service),) if containers else ()
        found = (self._server(gateway, host, service, one) for one in containers)
        return tuple(sorted((one for one in found if one is not None), key=lambda one: one.container))

    def by_name(self, host: str, service: str) -> Server:
        """Whoever has the service's name in the gateway's network."""
        addresses = {port: f"{service}:{port}" for port in sorted(self.ports(service))}
        return Server(host=host, container="", addresses=addresses)

    def _server(self, gateway: str, host: str, service: str, one: Container) -> Server | None:
        addresses: dict[int, str] = {}
        for port in sorted(self.ports(service)):
            place = f"{one.id[:_NAME_DIGITS]}:{port}" if host == gateway else self._published(host, one, port)
            if not place:
                return None
            addresses[port] = place
        return Server(host=host, container=one.id, addresses=addresses)

    def _published(self, host: str, one: Container, port: int) -> str:
        """Where others reach a port of a container; empty: nowhere."""
        found = sorted(
            (":" in held.address, held.port, held.address)
            for held in one.ports
            if held.target == port and held.protocol == "tcp"
        )
        for _, number, bound in found:
            address = self.addresses.get(host, "") if bound in _ANYWHERE else bound
            if address and not is_loopback(bound):
                return f"[{address}]:{number}" if ":" in address else f"{address}:{number}"
        return ""

    def backends(
        self, gateway: str, service: str, servers: Sequence[Server], *, retries: bool = False
    ) -> Backends:
        """All that a gateway is told of a service; servers that lack a port of its routes are left out."""
        ports = self.ports(service)
        gaps = any(self.in_place(host, service) for host in self.hosts_of(gateway, service))
        return Backends(
            name=f"{self.manifest.project}-{self.manifest.environment}-{service}",
            service=service,
            routes=self.routing.of(service),
            servers=tuple(one for one in servers if ports <= one.addresses.keys()),
            retries=retries or gaps,
        )

    def wanted(
        self, gateway: str, *, seen: Seen, told: Mapping[str, Backends], left_out: LeftOut
    ) -> dict[str, Backends]:
        """By service, what a gateway is to be told.

        Of hosts that nobody can judge what it was told stands, but for containers that are known not to run.
        """
        found: dict[str, Backends] = {}
        for service in self.routing.routed:
            every = self.all_hosts(service)
            if not every:
                continue
            known = told[service].servers if service in told else ()
            by_host = {
                host: self._answering(gateway, host, service, seen, known)
                for host in every
                if not left_out.has(host, service)
            }
            near = [one for host in self.hosts_of(gateway, service) for one in by_host.get(host, ())]
            anybody = [one for servers in by_host.values() for one in servers]
            found[service] = self.shown(
                gateway,
                self.backends(gateway, service, near or anybody),
                seen=seen,
                told=told.get(service),
                left_out=left_out,
            )
        return found

    def shown(
        self, gateway: str, made: Backends, *, seen: Seen, told: Backends | None, left_out: LeftOut
    ) -> Backends:
        """The same, with the page where nobody answers because people want it so."""
        page = self.routing.page_of(made.service)
        kept_away = any(left_out.has(host, made.service) for host in self.all_hosts(made.service))
        if page is None or made.servers or not kept_away:
            return made
        known = () if told is None or told.page is None else told.page.servers
        servers = self._page_servers(gateway, page, seen, known)
        shown = Page(port=page.port, path=page.path, servers=servers)
        return made.model_copy(update={"page": shown})

    def _page_servers(
        self, gateway: str, page: Maintenance, seen: Seen, known: Sequence[Server]
    ) -> tuple[Server, ...]:
        """Whoever serves the page: on the gateway's own host by name, so that it may be replaced meanwhile.

        What is drained makes no difference to them.
        """
        if page.service in self.manifest.hosts[gateway].services:
            addresses = {page.port: f"{page.service}:{page.port}"}
            return (Server(host=gateway, container="", addresses=addresses),)
        found: list[Server] = []
        for host, content in sorted(self.manifest.hosts.items()):
            if host not in seen.answering:
                found += [one for one in known if one.host == host and not seen.is_down(host, one)]
            elif page.service in content.services:
                for one in seen.answering[host].get(page.service, ()):
                    if place := self._published(host, one, page.port):
                        found.append(Server(host=host, container=one.id, addresses={page.port: place}))
        return tuple(sorted(found, key=lambda one: (one.host, one.container)))

    def _answering(
        self, gateway: str, host: str, service: str, seen: Seen, known: Sequence[Server]
    ) -> tuple[Server, ...]:
        """The servers of one host, by what is known of it."""
        if host in seen.answering:
            return self.servers(gateway, host, service, seen.answering[host].get(service, ()))
        return tuple(one for one in known if one.host == host and not seen.is_down(host, one))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What hosts have shown; one that is in neither has not answered."""

    answering: Mapping[str, Mapping[str, Sequence[Container]]] = field(
        default_factory=dict[str, Mapping[str, Sequence[Container]]]
    )
    """Of hosts that run what they should, by service: the containers that can answer requests."""
    running: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Of hosts that do not, the ids of all that runs there."""

    def is_down(self, host: str, server: Server) -> bool:
        """Whether a container is known not to run."""
        return bool(server.container) and server.container not in self.running.get(host, {server.container})


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What people keep requests away from."""

    hosts: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()

    def has(self, host: str, service: str) -> bool:
        """Whether a service gets no requests on a host."""
        return host in self.hosts or service in self.services


def answering(
    content: HostManifest, containers: Collection[Container], *, owner: Owner
) -> dict[str, tuple[Container, ...]]:
    """By service, the containers on one host that run as the Manifest says; sick ones not beside sound ones.

    Where none is sound all count: what may work is better than nothing at all.
    """
    found: dict[str, tuple[Container, ...]] = {}
    for name in content.services:
        if not _lasts(content, name):
            continue
        wanted = content.services[name].hash
        up = [
            one
            for one in containers
            if owner.owns(one)
            and not one.one_off
            and one.service == name
            and one.service_hash in {wanted, hash_as_it_is(wanted)}
            and one.state == "running"
        ]
        found[name] = tuple([one for one in up if one.health in {"none", "healthy"}] or up)
    return found


def shared(
    servers: Sequence[Server], *, host: str, old: Collection[str], new: Sequence[Server], percent: int
) -> tuple[Server, ...]:
    """Servers of which the new ones of a host get a share beside the old ones.

    The host's own share among all hosts stays what it will be when the new ones are alone.
    """
    staying = [one for one in servers if one.host == host and one.container in old]
    others = [one for one in servers if one.host != host]
    if not staying or not new:
        return (*others, *new)
    return (
        *(one.model_copy(update={"weight": WHOLE * len(staying)}) for one in others),
        *(one.model_copy(update={"weight": (WHOLE - percent) * len(new)}) for one in staying),
        *(one.model_copy(update={"weight": percent * len(staying)}) for one in new),
    )


def alone(servers: Sequence[Server], *, host: str, new: Sequence[Server]) -> tuple[Server, ...]:
    """Servers of which a host has these alone, and all count the same."""
    others = [one.model_copy(update={"weight": 1}) for one in servers if one.host != host]
    return tuple(sorted((*others, *new), key=lambda one: (one.host, one.container)))


def _lasts(content: HostManifest, service: str) -> bool:
    known = content.services.get(service)
    return known is not None and known.job is None
