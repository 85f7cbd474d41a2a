"""The schema of `stagecraft.yml` and of a descriptor; an unknown key is an error.

Types are strict: `version: 1.0` is a number and is refused, because as a tag it would have to be guessed.
The whole file is modelled, also what is not used yet: a project can be written down once, its editor knows
every key, and `config check` says of each key that nothing reads it yet. (Leaving such sections open was
dropped: a typing error in one would show on the day it starts to count.)
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from gitops.config.databases import DatabaseSection, MigrationsSection
from gitops.config.images import ImagesSection
from gitops.config.infrastructure import DevSection, InfraSection, TenantsSection, TunnelsSection
from gitops.config.providers import DevelopedSection, ProviderSection
from gitops.config.rollout import (
    MaintenanceSection,
    ProbeSection,
    RolloutSection,
    RouteSection,
    TraefikSection,
)
from gitops.config.scalars import (
    FilePlace,
    Hosts,
    Name,
    PublishedPort,
    Registry,
    ServiceName,
    Text,
    Version,
    VolumePlace,
)
from gitops.config.section import UNUSED, Emptied, Gathering, Section
from gitops.config.services import GateSection, ModeSection, Service
from gitops.config.stages import (
    HookPoint,
    HookSection,
    PrepareSection,
    ProfileSection,
    SourceSection,
    StageSection,
)

_VOLUMES, _INIT_SCRIPTS, _PORTS, _MODES = "[volume]", "[init_scripts]", "[port_publish]", "[modes]"
_SUFFIXES = {"volume": _VOLUMES, "init_scripts": _INIT_SCRIPTS, "port_publish": _PORTS}
_RULE = r"[a-z][a-z0-9_]{0,62}_(?:%s)"
_RULE_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,62}}_({'|'.join(_SUFFIXES)})")


class ProjectSection(Section):
    """`project`: what the app is called."""

    name: Name = Field(description="Name of the project, also the start of every container's name.")
    registry: Registry | None = Field(
        default=None, description="Where images that the project builds are pushed."
    )


class StagedSection(Section):
    """What a project may say for all environments, and an environment for itself."""

    profiles: Annotated[Emptied[dict[Name, Emptied[ProfileSection]]], UNUSED] = Field(
        default={}, description="Choices of services and options, by name."
    )
    source: Annotated[Emptied[SourceSection | None], UNUSED] = Field(
        default=None, description="Which Compose files are read."
    )
    prepare: Annotated[Emptied[PrepareSection | None], UNUSED] = Field(
        default=None, description="Layers of variables and templates."
    )
    deploy: Annotated[Emptied[StageSection | None], UNUSED] = Field(
        default=None, description="Actions of the deploy stage."
    )
    post_deploy: Annotated[Emptied[StageSection | None], UNUSED] = Field(
        default=None, description="Actions after a deploy."
    )
    destroy: Annotated[Emptied[StageSection | None], UNUSED] = Field(
        default=None, description="Actions of the end."
    )
    hooks: Annotated[dict[HookPoint, list[HookSection]], UNUSED] = Field(
        default={}, description="Programs of the project around a stage."
    )


class EnvironmentSection(StagedSection, Gathering):
    """`environments.<name>` and the whole of `environments/<name>.yml`."""

    GATHERED: ClassVar[dict[str, str | None]] = {
        **{alias: _RULE % suffix for suffix, alias in _SUFFIXES.items()},
        _MODES: None,
    }

    compose_project: Name | None = Field(
        default=None, description="Compose's project name; never change it later."
    )
    version: Version | None = Field(default=None, description="Version to deploy; the commit unless given.")
    gate: Emptied[GateSection] = Field(
        default=GateSection(), description="For services that say nothing themselves."
    )
    images: Emptied[ImagesSection] = Field(
        default=ImagesSection(), description="Goes over the project's `images`, key by key."
    )
    hosts: Hosts | None = Field(default=None, min_length=1, description="Instead of the project's hosts.")
    services: Emptied[dict[ServiceName, Service]] = Field(
        default={}, description="Goes over the project's services, key by key."
    )
    env_file: FilePlace | None = Field(
        default=None,
        description="File of variables, which Compose files know as `${PLATFORM_ENV_FILE}`; an absolute one "
        "lies on the hosts, and has the variables that the repository does not set.",
    )
    traefik: TraefikSection | None = Field(
        default=None, description="Certificates and settings of the gateway."
    )
    gateway: ServiceName | None = Field(
        default=None,
        description="The service that runs Traefik; unless given, the one of role `gateway` whose image is "
        "Traefik's.",
    )
    routes: list[RouteSection] = Field(default=[], description="What the gateway passes on.")
    maintenance: MaintenanceSection | None = Field(
        default=None,
        description="The page that the gateway shows, with status 503, where a person drained a service or "
        "all of its hosts; unless given, the gateway's own words.",
    )
    rollout: Emptied[RolloutSection | None] = Field(default=None, description="How a Release is carried out.")
    probe: Emptied[ProbeSection | None] = Field(
        default=None,
        description="Requests of our own to every routed service while it is replaced, as a proof.",
    )
    drift: Literal["heal", "hold", "report"] | None = Field(
        default=None,
        description="What is done about changes made by hand: `report` and `hold` touch nothing, and with "
        "`hold` nothing is deployed either until a person has looked. It only adds to the operator's.",
    )
    profile: Annotated[Name | None, UNUSED] = Field(default=None, description="The profile that is deployed.")
    driver: Annotated[Text | None, UNUSED] = Field(
        default=None, description="The cloud that hosts are made in."
    )
    volumes: dict[Text, VolumePlace] = Field(
        default={},
        alias="[volume]",
        description="A named volume or a folder of the host; `${DB_VOLUME}` for `db_volume`.",
    )
    init_scripts: dict[Text, FilePlace] = Field(
        default={},
        alias="[init_scripts]",
        description="Folder of scripts for the first start; `${DB_INIT_SCRIPTS}` for `db_init_scripts`.",
    )
    ports: dict[Text, PublishedPort] = Field(
        default={},
        alias="[port_publish]",
        description="A published port, or nothing for none; `${DB_PORT_PUBLISH}` for `db_port_publish`.",
    )
    modes: dict[ServiceName, ModeSection] = Field(
        default={}, alias="[modes]", description="Whether the service of this name runs as a container."
    )

    @classmethod
    def group_of(cls, name: str, value: object, data: dict[str, Any]) -> str | None:  # noqa: ARG003
        """`postgres_volume` and its like by their ending, services by the `mode` that stands below them."""
        rule = _RULE_NAME.fullmatch(name)
        if rule:
            return _SUFFIXES[rule[1]]
        return _MODES if isinstance(value, dict) and "mode" in value else None


Environment = Emptied[EnvironmentSection]


class StagecraftFile(StagedSection):
    """`stagecraft.yml`."""

    project: ProjectSection
    hosts: Hosts | None = Field(
        default=None, min_length=1, description="`{role: [host names]}`; none: `local`."
    )
    images: Emptied[ImagesSection] = Field(
        default=ImagesSection(), description="What becomes of tags that move and of images not there yet."
    )
    services: Emptied[dict[ServiceName, Service]] = Field(default={}, description="By Compose service.")
    environments: Emptied[dict[Name, Environment]] = Field(
        default={},
        description="By name; `environments/<name>.yml` adds one or replaces the entry of that name.",
    )
    backend: Annotated[DevelopedSection | None, UNUSED] = Field(
        default=None, description="Who builds the app's backend and runs it for a developer."
    )
    frontend: Annotated[DevelopedSection | None, UNUSED] = Field(
        default=None, description="Who runs the app's pages for a developer."
    )
    network: ProviderSection | None = Field(
        default=None, description="Who joins the hosts and knows their addresses."
    )
    cloud: Annotated[ProviderSection | None, UNUSED] = Field(default=None, description="Who makes hosts.")
    ci: Annotated[ProviderSection | None, UNUSED] = Field(default=None, description="Who builds and tests.")
    secrets: Annotated[ProviderSection | None, UNUSED] = Field(default=None, description="Who keeps secrets.")
    databases: Annotated[Emptied[dict[Name, DatabaseSection]], UNUSED] = Field(
        default={}, description="By name."
    )
    migrations: Annotated[Emptied[MigrationsSection | None], UNUSED] = Field(
        default=None, description="How schemas change."
    )
    dev: Annotated[Emptied[DevSection | None], UNUSED] = Field(
        default=None, description="The project on the developer's machine."
    )
    infra: Emptied[InfraSection | None] = Field(default=None, description="Hosts that the project makes.")
    terraform: Annotated[dict[str, Any] | None, UNUSED] = Field(
        default=None, description="Hosts that Terraform makes; what it takes is its own."
    )
    tunnels: Annotated[Emptied[TunnelsSection | None], UNUSED] = Field(
        default=None, description="Services shown to the world from a machine without an address."
    )
    tenants: Annotated[TenantsSection | None, UNUSED] = Field(
        default=None, description="One container for each customer."
    )
