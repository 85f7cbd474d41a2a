"""Routes of a Manifest: which requests a gateway passes on to which service, and how their traffic moves.

They stand in the Manifest as the gateway is to do it, whoever the gateway is: nothing here is Traefik's word.
Which containers answer is no part of it; that is known where they run.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

Protocol = Literal["http", "https", "h2c", "tcp"]
"""How the gateway speaks to the service: `h2c` is HTTP/2 without TLS, as for gRPC; `tcp`: bytes pass."""
GatewayKind = Literal["traefik", "caddy"]


class _Frozen(BaseModel):
    """A frozen part of a Manifest; an unknown key is an error, because the digest would not cover it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Route(_Frozen):
    """Requests that the gateway passes on."""

    host: str  # the name that a request asks for; `*.` and a name: any right below it; `*`: any
    path: str = "/"  # what its path starts with
    service: str
    port: int  # in the service's containers
    tls: bool = False  # the gateway ends TLS for it
    protocol: Protocol = "http"
    entry_point: str | None = None  # of the gateway; None: `websecure` with `tls`, else `web`
    sticky: bool = False  # one visitor stays with one container, by a cookie
    resolver: str | None = None  # who gets its certificate, as the gateway calls it; None: what it has

    @property
    def entrance(self) -> str:
        """The name of the entry point that it comes in by."""
        return self.entry_point or ("websecure" if self.tls else "web")


class RequestProbe(_Frozen):
    """Requests of our own while traffic moves, as a proof that none was lost."""

    path: str
    rate: int  # in a second


class Traffic(_Frozen):
    """How the requests of one routed service move from its old containers to its new ones."""

    drain_seconds: float = 60.0  # the longest wait for open connections of the old ones
    watch_seconds: float = 0.0  # after the Release completed: how long a failing one still goes back
    steps: tuple[int, ...] = ()  # of a canary: percent of the traffic, rising; none: all at once
    probe: RequestProbe | None = None  # None: nothing is asked


class Gateway(_Frozen):
    """The service that passes requests on, and where it listens; runs on each host that has the service."""

    service: str
    kind: GatewayKind = "traefik"
    admin_port: int  # in its container; published by the engine on some port of the host's loopback
    authenticated: bool = True  # the admin port asks for our credential; False: the project's own settings
    entry_points: dict[str, int]  # by name the port in its container


class Maintenance(_Frozen):
    """The page that visitors of a service get while people keep requests away from it."""

    service: str  # who serves it; never kept out of traffic with the others
    port: int  # in its containers
    path: str = "/"


class Routing(_Frozen):
    """The gateway of an environment and all that it is to pass on, which may be nothing yet."""

    gateway: Gateway
    routes: tuple[Route, ...]  # sorted by service, host, path
    traffic: dict[str, Traffic] = {}  # by routed service
    maintenance: Maintenance | None = None  # None: the gateway's own words; then it is left out

    @model_serializer(mode="wrap")
    def _as_ever(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not there: Manifests from before it was known keep their digests."""
        found: dict[str, Any] = handler(self)
        if self.maintenance is None:
            found.pop("maintenance", None)
        return found

    def of(self, service: str) -> tuple[Route, ...]:
        """The routes of a service."""
        return tuple(route for route in self.routes if route.service == service)

    @property
    def routed(self) -> tuple[str, ...]:
        """The services that have routes, sorted."""
        return tuple(sorted({route.service for route in self.routes}))

    @property
    def dialled(self) -> dict[str, frozenset[int]]:
        """By service, the ports in its containers that a gateway dials."""
        found = {name: {route.port for route in self.of(name)} for name in self.routed}
        if self.maintenance is not None:
            found.setdefault(self.maintenance.service, set()).add(self.maintenance.port)
        return {name: frozenset(ports) for name, ports in sorted(found.items())}

    def page_of(self, service: str) -> Maintenance | None:
        """What visitors of a service are shown while nobody may answer for it; bytes have no page."""
        speaks_http = any(route.protocol != "tcp" for route in self.of(service))
        return self.maintenance if speaks_http else None
