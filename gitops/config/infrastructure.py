"""`dev`, `infra`, `tunnels`, `tenants`: the developer's machine, new hosts, and apps with many customers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from gitops.config.scalars import Duration, HostName, Port, ServiceName, Text
from gitops.config.section import UNUSED, Emptied, Section


class DomainsSection(Section):
    """`dev.domains`: names on the developer's machine."""

    frontend: HostName = Field(default="app.localdev.test", description="Of the pages.")
    backend: HostName = Field(default="api.localdev.test", description="Of the interface.")


class DevSection(Section):
    """`dev`: the project on the developer's machine."""

    domains: Emptied[DomainsSection | None] = Field(default=None, description="Names of the app.")


class BootstrapSshSection(Section):
    """`infra.bootstrap.ssh`: how a new host is reached."""

    user: Text = Field(default="root", description="Who logs in.")
    port: Port = Field(default=22, description="Port of the SSH server.")
    key: Text | None = Field(default=None, description="File with the private key.")
    known_hosts: Text | None = Field(default=None, description="File with the keys of hosts.")


class BootstrapDockerSection(Section):
    """`infra.bootstrap.docker`: the engine of a new host."""

    install: Literal["apt", "script", "skip"] = Field(
        default="apt", description="How `hosts bootstrap` brings it there."
    )


class BootstrapSection(Section):
    """`infra.bootstrap`: what makes a machine a host."""

    ssh: Annotated[Emptied[BootstrapSshSection | None], UNUSED] = Field(
        default=None, description="How it is reached; the operator says that, in `controller.yml`."
    )
    docker: Emptied[BootstrapDockerSection | None] = Field(default=None, description="Its engine.")
    network: Annotated[dict[str, Any], UNUSED] = Field(
        default={}, description="What the network provider takes."
    )


class InfraSection(Section):
    """`infra`: hosts that the project makes."""

    bootstrap: Emptied[BootstrapSection | None] = Field(default=None, description="New hosts.")


class TunnelsSection(Section):
    """`tunnels`: services shown to the world from a machine without an address."""

    auto: list[ServiceName] = Field(default=[], description="Opened with every deploy.")
    image: Text | None = Field(default=None, description="Image of the tunnel's client.")
    timeout: Duration | None = Field(default=None, description="The longest wait for its address.")


class TenantLimitsSection(Section):
    """`tenants.limits`: what one tenant may use."""

    cpus: float | int | None = Field(default=None, description="Processors.")
    memory: Text | None = Field(default=None, description="Memory, as in `512m`.")


class TenantsSection(Section):
    """`tenants`: one container for each customer."""

    image: Text = Field(description="What each of them runs.")
    port: Port = Field(default=8080, description="The port that it answers on.")
    domain: HostName = Field(description="Each one is `<slug>.<domain>`.")
    health_path: Text = Field(default="/healthz", description="Answers when it is up.")
    data: Text | None = Field(default=None, description="Folder inside that is kept in a volume.")
    idle: Duration | None = Field(default=None, description="Put to sleep after this long without a request.")
    limits: Emptied[TenantLimitsSection | None] = Field(default=None, description="What one may use.")
