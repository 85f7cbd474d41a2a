"""Which images a project builds, by whom, and what they are made from.

A service with `build:` and no `image:` is built here, so what the builder is sent is known path by path. One
that names an image beside its `build:`, or an image in the project's registry, is built by CI; what that is
made from is what the project declares in `paths`, else the whole tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from events.kernel.errors import UserError
from gitops.builds.spec import Build, Project, is_built, plan_build
from gitops.config.load import Configuration
from gitops.findings import Finding, FindingCode
from gitops.renderkey import ROOT
from gitops.settings import ServiceSettings
from gitops.source.paths import resolve
from gitops.source.tree import Tree


def planned_builds(
    tree: Tree,
    configuration: Configuration,
    services: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, ServiceSettings],
    *,
    not_deployable: set[Finding] | None,
) -> dict[str, Build]:
    """What is built for the services that have `build:` and no `image:`.

    With `not_deployable` what cannot be built is noted there in place of an error.
    """
    project = Project(
        tree=tree,
        folder=configuration.folder,
        name=configuration.project.project.name,
        registry=configuration.project.project.registry,
    )
    builds: dict[str, Build] = {}
    for name, service in sorted(services.items()):
        if not is_built(service):
            continue
        try:
            builds[name] = plan_build(project, name, service, paths=settings[name].paths)
        except UserError as error:
            if not_deployable is None:
                raise
            not_deployable.add(
                Finding(code=FindingCode.NOT_DEPLOYABLE, message=error.message, key=f"services.{name}.build")
            )
    return builds


def awaited_refs(
    configuration: Configuration, services: Mapping[str, Mapping[str, Any]], builds: Mapping[str, Build]
) -> frozenset[str]:
    """The references of images that CI builds: with `build:` beside them, or in the project's registry."""
    registry = configuration.project.project.registry
    return frozenset(
        str(service["image"])
        for name, service in services.items()
        if name not in builds
        and service.get("image")
        and ("build" in service or (registry is not None and _is_under(registry, str(service["image"]))))
    )


def _is_under(registry: str, ref: str) -> bool:
    return ref.startswith((f"{registry}/", f"{registry}:"))


def build_inputs(
    configuration: Configuration,
    services: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, ServiceSettings],
    builds: Mapping[str, Build],
) -> set[str]:
    """What images that the project builds are made from.

    Of an image that is built here that is known: what the builder is sent. Of one that CI builds it is not.
    """
    paths: set[str] = set()
    for name, service in services.items():
        if "build" not in service:
            continue
        declared = settings[name].paths
        if name in builds:
            paths |= builds[name].inputs
        elif declared is None:
            paths.add(ROOT)
        else:
            paths |= {resolve(configuration.folder, path) for path in declared}
    return paths
