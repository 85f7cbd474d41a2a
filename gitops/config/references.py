"""Names in a configuration that must exist elsewhere in it, among what is checked and not used yet.

What counts today is looked at where it is used (`gitops.settings`); a typing error in these names would
otherwise stay until the day they count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from gitops.config.document import Document
from gitops.config.faults import Fault, unknown
from gitops.config.load import Configuration
from gitops.config.models import StagecraftFile
from gitops.findings import FindingCode


def project_references(
    document: Document, project: StagecraftFile, environments: Collection[str]
) -> Iterator[Fault]:
    """Names of environments in the project's own sections."""
    for name in project.migrations.env if project.migrations is not None else ():
        if name not in environments:
            yield document.fault(("migrations", "env", name), unknown("environment", name, environments))


def environment_references(configuration: Configuration, services: Collection[str] | None) -> Iterator[Fault]:
    """Names of profiles, hosts and, when they are known, services in an environment."""
    environment, project = configuration.environment, configuration.project
    profiles = {*project.profiles, *environment.profiles}
    if environment.profile is not None and environment.profile not in profiles:
        yield configuration.environment_fault(("profile",), unknown("profile", environment.profile, profiles))
    canary = environment.rollout and environment.rollout.hosts and environment.rollout.hosts.canary
    hosts = {name for names in (environment.hosts or project.hosts or {}).values() for name in names}
    if isinstance(canary, str) and hosts and canary not in hosts:
        yield configuration.environment_fault(("rollout", "hosts", "canary"), unknown("host", canary, hosts))
    if services is None:
        return
    code = FindingCode.SERVICE_UNKNOWN
    if environment.gateway is not None and environment.gateway not in services:
        message = unknown("service", environment.gateway, services)
        yield configuration.environment_fault(("gateway",), message, code)
    page = environment.maintenance
    if page is not None and page.service not in services:
        message = unknown("service", page.service, services)
        yield configuration.environment_fault(("maintenance", "service"), message, code)
    for position, route in enumerate(environment.routes):
        if route.service not in services:
            message = unknown("service", route.service, services)
            yield configuration.environment_fault(("routes", position, "service"), message, code)
