"""How a Release goes over hosts and how traffic moves: `rollout`, `routes`, `maintenance`, `probe`."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from events.routes import Protocol
from gitops.config.scalars import (
    Count,
    EntryPointName,
    FilePlace,
    HostName,
    Port,
    RequestPath,
    RouteHost,
    RoutePath,
    ServiceName,
    VariableName,
)
from gitops.config.section import Emptied, Section


def _rising(steps: list[int]) -> list[int]:
    if any(first >= second for first, second in pairwise(steps)):
        raise ValueError("each step has to be more than the one before it")
    return steps


Percent = Annotated[int, Field(ge=1, le=100)]
Steps = Annotated[list[Percent], AfterValidator(_rising)]


class HostsRolloutSection(Section):
    """`rollout.hosts`: in which order hosts get a Release."""

    canary: HostName | Count | None = Field(
        default=None,
        description="The host, or how many of each role's hosts, that gets it first; where one of these "
        "fails, the Release does.",
    )
    max_parallel: Count | None = Field(
        default=None, description="How many hosts of a role change at the same time, `1` unless given."
    )
    max_failures: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="How many hosts may fail before the Release does, `0` unless given."
    )
    on_unreachable: Literal["fail", "skip"] = Field(
        default="fail", description="`skip`: a host that does not answer catches up later."
    )


class TrafficSection(Section):
    """`rollout.traffic`: how requests move from the old containers to the new ones."""

    strategy: Literal["start-first", "stop-first", "canary"] | None = Field(
        default=None, description="Start-first unless something forbids it."
    )
    steps: Steps | None = Field(
        default=None,
        description="Of a canary: its share of the requests, in percent, rising; `[10, 50]` unless given.",
    )
    watch_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = Field(
        default=None,
        description="How long the new containers are watched after the switch; `0` unless given.",
    )
    drain_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = Field(
        default=None,
        description="The longest wait for open connections of the old containers; `60` unless given.",
    )


class RolloutSection(Section):
    """`rollout`: how a Release is carried out."""

    enabled: bool = Field(default=True, description="`false`: containers are replaced at once, stop-first.")
    parallel: Count | None = Field(
        default=None,
        description="How many services of a host are worked on at once, `10` unless given; `1`: one after "
        "the other.",
    )
    most_removed: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="How many services a Release may take away without a person's word, where that is fewer "
        "than the operator's `removal.most_services`.",
    )
    hosts: Emptied[HostsRolloutSection | None] = Field(default=None, description="Over the hosts.")
    on_failure: Literal["revert", "hold", "continue"] = Field(
        default="revert",
        description="When too many hosts fail: bring all back, change nothing more, go on with the others.",
    )
    traffic: Emptied[TrafficSection | None] = Field(default=None, description="For the requests.")


class RouteSection(Section):
    """`routes[]`: requests that the gateway passes on."""

    host: RouteHost = Field(
        description="The name that a request asks for; `*.example.org`: any name right below it; `*`: any, "
        "after all other routes."
    )
    path: RoutePath = Field(default="/", description="What its path starts with.")
    service: ServiceName = Field(description="The Compose service that answers.")
    port: Port = Field(description="The port that it answers on, inside its container.")
    tls: bool = Field(default=False, description="The gateway ends TLS for it.")
    protocol: Protocol = Field(
        default="http",
        description="How the gateway speaks to the service: `h2c` is HTTP/2 without TLS, as for gRPC; with "
        "`tcp` bytes pass as they come.",
    )
    entry_point: EntryPointName | None = Field(
        default=None,
        description="The entry point of the gateway that it comes in by; with `tls` `websecure`, else `web`, "
        "unless given.",
    )
    sticky: bool = Field(
        default=False, description="A visitor stays with the container that answered first, by a cookie."
    )


class MaintenanceSection(Section):
    """`maintenance`: the page that a drained service's visitors get."""

    service: ServiceName = Field(
        description="The Compose service that serves the page; it is never drained with the others."
    )
    port: Port = Field(description="The port that it answers on, inside its container.")
    path: RoutePath = Field(default="/", description="The page.")


class ProbeSection(Section):
    """`probe`: requests of our own during a switch, as a proof that none was lost."""

    path: RequestPath = Field(default="/", description="What is asked for.")
    rate: Annotated[int, Field(ge=1, le=200)] = Field(default=10, description="Requests in a second.")


class TraefikSection(Section):
    """`environments.<name>.traefik`: the gateway's certificates and its own settings."""

    mode: Literal["acme", "mkcert"] = Field(description="Where certificates come from.")
    mkcert_cert_dir: FilePlace | None = Field(
        default=None, description="Folder with the certificates of mkcert: `NAME.pem` beside `NAME-key.pem`."
    )
    dynamic_config_dir: FilePlace | None = Field(
        default=None, description="Folder with more files that Traefik watches."
    )
    acme_email_env: VariableName | None = Field(
        default=None, description="Variable with the address for ACME."
    )
    acme_storage: FilePlace | None = Field(
        default=None, description="File on the host that ACME keeps its certificates in."
    )
    dashboard_auth: Literal["basic", "none"] = Field(
        default="none",
        description="`basic`: the dashboard is there, for the user in the gateway's variable "
        "`TRAEFIK_DASHBOARD_USERS`. `none`: there is no dashboard.",
    )
    hsts: bool = Field(default=False, description="Tell browsers to come by TLS alone.")
    cors_for_logto: bool = Field(default=False, description="Allow the pages of Logto to call the app.")
