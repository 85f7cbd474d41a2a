"""What each provider takes in `stagecraft.yml`.

A repository names variables and files, never a secret: a key that ends in `_env` names a variable.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from events.streams import LOCAL_HOST
from gitops.config.hosts import LOCAL_LISTED
from gitops.config.scalars import (
    Count,
    HostAddress,
    HostName,
    ListenAddress,
    Name,
    Port,
    Text,
    VariableName,
)
from gitops.config.section import Emptied, Section


def _operators(_value: object) -> object:
    """Refuse what decides how a machine is entered: a commit must not."""
    raise ValueError(
        "a repository gives `address` and `port` of a host; this key belongs to the operator, in "
        "controller.yml under network.static.hosts"
    )


Command = Annotated[list[Text], Field(min_length=1)]
Tag = Annotated[str, Field(pattern="^tag:[a-z0-9-]+$")]


class EncoreSecretsSection(Section):
    """Secrets that Encore is given from the developer's variables."""

    types: Annotated[list[Name], Field(min_length=1)]
    from_env: list[VariableName] = Field(default=[])


class EncoreDevSection(Section):
    """Encore's own development server."""

    env_file: Text
    listen: ListenAddress
    disable_telemetry: bool = True
    node_extra_ca_certs: Text | None = None
    secrets: EncoreSecretsSection | None = None
    encore_secrets: EncoreSecretsSection | None = None  # an older name of `secrets`


class EncoreBuildSection(Section):
    """Images built by Encore."""

    image_name: Name = "api"
    tag_suffix: Text | None = None


class EncoreSettings(Section):
    """`encore-ts`."""

    dev: EncoreDevSection
    build: Emptied[EncoreBuildSection | None] = None


class ShutdownSection(Section):
    """How a program is ended."""

    signal: Literal["SIGINT", "SIGQUIT", "SIGTERM"] = "SIGINT"
    timeout_ms: Count = 10_000


class GenericDevSection(Section):
    """Any program, run for the developer."""

    command: Command
    workdir: Text | None = None
    env: dict[VariableName, str] = Field(default={})
    ready_pattern: Text | None = None
    shutdown: Emptied[ShutdownSection | None] = None


class GenericBuildSection(Section):
    """An image built from a Dockerfile."""

    dockerfile: Text = "Dockerfile"
    context: Text | None = None


class GenericBackendSettings(Section):
    """`generic` backend."""

    dev: GenericDevSection
    build: Emptied[GenericBuildSection | None] = None


class GenericFrontendSettings(Section):
    """`generic` frontend."""

    dev: GenericDevSection


class StaticHostAddress(Section):
    """What a repository may say of a host; the rest is the operator's, in `controller.yml`."""

    address: HostAddress | None = None
    port: Port | None = None
    user: Annotated[Any, BeforeValidator(_operators)] = None
    engine_socket: Annotated[Any, BeforeValidator(_operators)] = None
    root: Annotated[Any, BeforeValidator(_operators)] = None

    @model_validator(mode="after")
    def _addressed(self) -> StaticHostAddress:
        if self.port is not None and self.address is None:
            raise ValueError("a port goes with an `address`")
        return self


class StaticSettings(Section):
    """`static`: hosts that are listed."""

    hosts: dict[HostName, Emptied[StaticHostAddress]] = Field(default={})

    @model_validator(mode="after")
    def _elsewhere(self) -> StaticSettings:
        if LOCAL_HOST in self.hosts and self.hosts[LOCAL_HOST].address is not None:
            raise ValueError(LOCAL_LISTED)
        return self


class TailscaleSettings(Section):
    """`tailscale`."""

    auth_key_env: VariableName
    tailnet_domain: HostName
    tags: list[Tag] = Field(default=[])
    role_tags: dict[Name, list[Tag]] = Field(default={})
    install: Literal["auto", "skip"] = "auto"
    min_version: Text | None = None


class HeadscaleSettings(TailscaleSettings):
    """`headscale`: as `tailscale`, with a server of one's own."""

    login_server: Annotated[str, Field(pattern="^https?://")]


class EnvFileSettings(Section):
    """`envfile`: secrets that are copied from one file to another."""

    source_file: Text
    target_file: Text
