"""A Manifest but for its pins: everything that a commit and Compose alone decide.

`draft` reads the tree and runs the Compose client; nothing else is asked, so the same tree and arguments give
the same Draft on every machine. Files of other repositories, which the commit itself pins, come from whoever
is passed for that before Compose runs. Pins of images come from outside and are put in by
`gitops.manifest.complete`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from events.catalog.drift import DriftPolicy
from events.catalog.environment import Conduct
from events.manifest import FileTree, Gate, Job, Reload, WaitCondition
from events.references import names_of
from events.rollout import Strategy
from events.routes import Routing
from gitops.builds.planned import awaited_refs, build_inputs, planned_builds
from gitops.builds.spec import Build, ignored_options, is_built
from gitops.compose.files import Collector
from gitops.compose.needs import needs_of
from gitops.compose.ports import refuse_port_conflicts
from gitops.compose.reload import arrange
from gitops.compose.render import Rendered, render
from gitops.compose.rewrite import refuse_left_paths, rewrite, rewrite_devices
from gitops.compose.route_ports import publish_routed
from gitops.compose.split import split
from gitops.config.load import DEFAULT_CONFIG
from gitops.findings import Finding, FindingCode
from gitops.gateway import equip_gateway
from gitops.grafting import with_remotes
from gitops.grafts import is_grafted
from gitops.preparation import Prepared, prepare
from gitops.providers import Providers
from gitops.remotes import Remotes
from gitops.renderkey import inputs_of, render_key, renderer
from gitops.rules import env_file_of_host, without_empty_ports
from gitops.settings import (
    ImagePolicy,
    ServiceSettings,
    conduct,
    external_services,
    image_policy,
    resolve_services,
)
from gitops.source.nested import NestedTree
from gitops.source.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftService:
    """What a converger must know of a service beside its definition."""

    role: str
    job: Job | None
    waits_for: dict[str, WaitCondition]  # services on the same host
    gate: Gate
    reload: Reload | None = None
    rollout: Strategy | None = None  # the project's word


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftHost:
    """What one host runs, with images as written."""

    document: dict[str, Any]
    services: dict[str, DraftService]
    files: dict[str, FileTree]  # by digest
    env_file: str | None = None  # of the host, for the references that are left in the document


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All that a render found out."""

    project: str
    environment: str
    compose_project: str
    version: str  # of the images that the project builds
    hosts: dict[str, DraftHost]
    images: dict[str, str]  # {service: reference as written}
    pull_policies: dict[str, str | None]  # {service: what Compose says of pulling}
    platforms: dict[str, str | None]  # {service: the platform it asks for}
    builds: dict[str, Build]  # {service: what is built for it}, by services without image:
    awaited: frozenset[str]  # references that the project's CI pushes
    image_policy: ImagePolicy
    drift: DriftPolicy  # what the descriptor wants done with drift
    conduct: Conduct  # how its Releases are carried out
    blobs: dict[str, bytes]  # mounted files by digest
    origins: dict[str, dict[str, str]]  # {service: {path in the container: path in the repository}}
    inputs: dict[str, str | None]
    renderer: str
    unset_variables: tuple[str, ...]  # rendered blank, sorted
    findings: tuple[Finding, ...]
    routing: Routing | None = None  # what a gateway passes on
    tree: Tree = field(compare=False, repr=False)
    """With the files of other repositories in it; where `builds` are sent from."""

    @property
    def built_refs(self) -> frozenset[str]:
        """The references of images that are built here."""
        return frozenset(build.ref for build in self.builds.values())

    @property
    def render_key(self) -> str:
        """The name of this render."""
        return render_key(self.inputs, self.renderer)


async def draft(
    tree: Tree,
    *,
    config_path: str = DEFAULT_CONFIG,
    environment: str,
    version: str,
    given_version: str | None = None,
    providers: Providers | None = None,
    preview: bool = False,
    remotes: Remotes | None = None,
) -> Draft:
    """Render `environment` from `tree`; `providers` know what hosts are called.

    `remotes` bring what the Compose files name in other repositories; without them that is refused. What
    gitlinks pin is in the tree where it is to be read (`gitops.source.submodules`).

    A `preview` may lack what only running it needs, and finds so.

    Images that the project builds have the tag `given_version`, else the descriptor's `version`, else
    `version`, which is the commit's own. Raises UserError and OutsideError with the codes of `gitops.config`,
    `gitops.compose`, `gitops.settings` and `gitops.source.tree`.
    """

    def read(grafted: Tree) -> Prepared:
        return prepare(
            grafted,
            config_path=config_path,
            environment=environment,
            version=version,
            given_version=given_version,
            providers=providers,
            allowed=() if remotes is None else remotes.allowed,
        )

    grafted, prepared = await with_remotes(tree, read, remotes)
    rendered = await render(replace(prepared.request(grafted), preview=preview))
    return await asyncio.to_thread(
        _finish, grafted, prepared, rendered, committed=tree, providers=providers, preview=preview
    )


def _inputs(committed: Tree, paths: Iterable[str]) -> dict[str, str | None]:
    """What the commit itself says of them: of a file in a submodule, which commit that is pinned at."""
    own = {path for path in paths if not is_grafted(path)}
    if isinstance(committed, NestedTree):
        return inputs_of(committed.base, {committed.pinned_at(path) for path in own})
    return inputs_of(committed, own)


def _finish(
    tree: Tree,
    prepared: Prepared,
    rendered: Rendered,
    *,
    committed: Tree,
    providers: Providers | None,
    preview: bool,
) -> Draft:
    configuration = prepared.configuration
    rendered = replace(rendered, document=without_empty_ports(rendered.document, prepared.rules))
    rendered_services: dict[str, dict[str, Any]] = rendered.document.get("services", {})
    outside = rendered.services & external_services(configuration)
    settings = resolve_services(configuration, rendered_services, outside=outside)
    collector = Collector(tree=tree, folder=configuration.folder, preview=preview)
    builds = planned_builds(
        tree,
        configuration,
        rendered_services,
        settings,
        not_deployable=collector.findings if preview else None,
    )
    for name, service in rendered_services.items():
        if is_built(service):  # what could not be planned is called as Compose calls it
            service["image"] = builds[name].ref if name in builds else f"{prepared.compose_project}-{name}"
    services = rewrite(rendered, collector, {name: one.state for name, one in settings.items()})
    gateway = equip_gateway(
        configuration, collector, services=services, settings=settings, values=rendered.values
    )
    jobs = {name for name in services if settings[name].job is not None}
    reloading = arrange(services, trees=collector.trees, jobs=jobs)
    placement = {name: settings[name].hosts for name in services}
    placed = split(
        rewrite_devices(rendered.document, collector),
        services,
        placement,
        addresses=prepared.names.addresses,
    )
    if gateway.routing is not None:
        publish_routed(placed.documents, gateway.routing.dialled, gateway.hosts)
    refuse_left_paths(placed.documents)
    refuse_port_conflicts(placed.documents, jobs)
    hosts = {
        host: _host(
            document,
            settings,
            collector,
            reloads=reloading.services,
            host_file=env_file_of_host(configuration),
        )
        for host, document in placed.documents.items()
    }
    paths = {
        *collector.looked_for,
        *prepared.looked_for,
        *build_inputs(configuration, rendered_services, settings, builds),
    }
    return Draft(
        project=configuration.project.project.name,
        environment=configuration.name,
        compose_project=prepared.compose_project,
        version=prepared.version,
        hosts=hosts,
        images={name: service["image"] for name, service in services.items()},
        pull_policies={name: rendered_services[name].get("pull_policy") for name in services},
        platforms={name: rendered_services[name].get("platform") for name in services},
        builds=builds,
        awaited=awaited_refs(configuration, rendered_services, builds),
        image_policy=image_policy(configuration),
        drift=configuration.environment.drift or "heal",
        conduct=conduct(configuration),
        routing=gateway.routing,
        blobs=dict(sorted(collector.blobs.items())),
        origins=collector.origins,
        inputs=_inputs(committed, paths),
        renderer=renderer(),
        unset_variables=rendered.unset_variables,
        findings=(
            *configuration.findings,
            *prepared.discovery.findings,
            *prepared.closure.findings,
            *rendered.findings,
            *sorted(collector.findings, key=str),
            *prepared.left_over(rendered, providers),
            *gateway.findings,
            *reloading.findings,
            *placed.findings,
            *(one for name in builds for one in ignored_options(name, rendered_services[name])),
            *_permissions(hosts.values()),
        ),
        tree=tree,
    )


def _permissions(hosts: Iterable[DraftHost]) -> list[Finding]:
    """What has to be allowed before it is deployed, once each."""
    needs = {need for host in hosts for need in needs_of(host.document, env_file=host.env_file)}
    return [
        Finding(
            code=FindingCode.NEEDS_PERMISSION,
            message=f"{need.message}; deployed only where controller.yml allows {need.narrow}",
            key=need.key,
        )
        for need in sorted(needs)
    ]


def _host(
    document: dict[str, Any],
    settings: Mapping[str, ServiceSettings],
    collector: Collector,
    *,
    reloads: Mapping[str, Reload],
    host_file: str | None,
) -> DraftHost:
    services: dict[str, dict[str, Any]] = document["services"]
    sources = [
        mount["source"]
        for service in services.values()
        for mount in service.get("volumes", ())
        if "source" in mount
    ]
    live = {
        mount.tree: collector.trees[mount.tree]
        for name in services
        if name in reloads
        for mount in reloads[name].mounts
    }
    return DraftHost(
        document=document,
        services={
            name: DraftService(
                role=settings[name].role,
                job=settings[name].job,
                waits_for={other: how["condition"] for other, how in service.get("depends_on", {}).items()},
                gate=settings[name].gate,
                reload=reloads.get(name),
                rollout=None if settings[name].job is not None else settings[name].rollout,
            )
            for name, service in services.items()
        },
        files=dict(sorted({**collector.trees_of(sources), **live}.items())),
        env_file=host_file if host_file and any(map(names_of, services.values())) else None,
    )
