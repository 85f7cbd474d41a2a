"""What `stagecraft.yml` says of each service that is deployed, resolved for one environment.

From the general to the special, the later one wins key by key: defaults, the environment's `gate`, the
project's `services.<name>`, the environment's `services.<name>`. The rules that need to know which services
there are stand here, because only Compose knows them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from events.catalog.environment import Conduct
from events.kernel.errors import UserError, error_code
from events.manifest import Gate, Job
from events.rollout import Strategy, forbidden, shared_by
from events.streams import LOCAL_HOST
from gitops.compose.portable import COMMIT_PREFIX
from gitops.config.faults import ConfigInvalidError, Fault, unknown
from gitops.config.images import NEVER
from gitops.config.load import Configuration
from gitops.config.models import EnvironmentSection
from gitops.config.rollout import RolloutSection
from gitops.config.section import keys_of
from gitops.config.services import JobSection, ServiceSection
from gitops.findings import FindingCode
from gitops.gates import gate_faults, gate_of, gate_over
from gitops.source.paths import resolve

SERVICES_NONE = error_code(
    "services-none", "No service is left to deploy; nothing is ever removed because of that."
)

DEFAULT_ROLE = "app"
IMAGE_WAIT_SECONDS = 900.0
_COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePolicy:
    """What becomes of tags that move and of images that are not there yet."""

    refresh: float | Literal["never", "on-deploy"]  # a number: every so many seconds
    wait_seconds: float  # for an image that CI pushes


def image_policy(configuration: Configuration) -> ImagePolicy:
    """The project's `images` with those of the environment over them."""
    project, over = configuration.project.images, configuration.environment.images
    return ImagePolicy(
        refresh=over.refresh or project.refresh or NEVER,
        wait_seconds=over.wait or project.wait or IMAGE_WAIT_SECONDS,
    )


def conduct(configuration: Configuration) -> Conduct:
    """How Releases of the environment are carried out."""
    rollout = configuration.environment.rollout
    hosts = None if rollout is None else rollout.hosts
    keep = configuration.environment.images.keep or configuration.project.images.keep
    said = {
        "parallel": None if rollout is None else rollout.parallel,
        "most_removed": None if rollout is None else rollout.most_removed,
        "keep_images": keep,
        "hosts": None if hosts is None else _said(hosts.model_dump()),
        "on_failure": None if rollout is None else rollout.on_failure,
    }
    return Conduct.model_validate(_said(said))


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that somebody gave."""
    return {key: value for key, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """One service in one environment."""

    role: str
    hosts: tuple[str, ...]  # sorted
    job: Job | None
    gate: Gate
    paths: tuple[str, ...] | None  # what its image is built from; None: everything
    state: frozenset[str]  # paths from the root of the tree that are mounted as folders of the host
    rollout: Strategy | None  # the project's word


def service_sections(configuration: Configuration) -> dict[str, ServiceSection]:
    """The services that the project or the environment names, merged key by key."""
    merged = dict(configuration.project.services)
    for name, over in configuration.environment.services.items():
        merged[name] = _over(merged.get(name, ServiceSection()), over)
    return merged


def named_services(configuration: Configuration) -> frozenset[str]:
    """The services that take part whatever their profiles are."""
    named = {*service_sections(configuration), *configuration.environment.modes}
    return frozenset(named) - external_services(configuration)


def external_services(configuration: Configuration) -> frozenset[str]:
    """The services that run outside."""
    modes = configuration.environment.modes
    return frozenset(name for name, mode in modes.items() if mode.mode == "external")


def placed_services(configuration: Configuration) -> dict[str, tuple[str, ...]]:
    """`{service: hosts}` of what is named in the configuration and runs in it, as far as roles have hosts."""
    roles = {name: section.role or DEFAULT_ROLE for name, section in service_sections(configuration).items()}
    outside = external_services(configuration)
    found = {name: _hosts_of(configuration, role) for name, role in roles.items() if name not in outside}
    return {name: tuple(sorted(set(hosts))) for name, hosts in sorted(found.items()) if hosts is not None}


def all_hosts(configuration: Configuration) -> tuple[str, ...]:
    """Every host of the environment, sorted."""
    hosts = configuration.environment.hosts or configuration.project.hosts
    names = [LOCAL_HOST] if hosts is None else [name for role in hosts.values() for name in role]
    return tuple(sorted(set(names)))


def resolve_services(
    configuration: Configuration,
    services: Mapping[str, Mapping[str, Any]],
    *,
    outside: Collection[str] = (),
) -> dict[str, ServiceSettings]:
    """The settings of all rendered `services`; those `outside` are known and not deployed.

    Raises UserError `config-invalid` for services that Compose does not have and roles without hosts, and
    `services-none`.
    """
    if not services:
        raise UserError(
            SERVICES_NONE,
            "every service runs outside, none is left to deploy"
            if outside
            else "the Compose files have no service to deploy",
            next="docker compose config",
        )
    sections = service_sections(configuration)
    faults = unknown_services(configuration, {*services, *outside})
    jobs = _awaited_jobs(services)
    resolved: dict[str, ServiceSettings] = {}
    for name, service in services.items():
        section = sections.get(name, ServiceSection())
        role = section.role or DEFAULT_ROLE
        faults += _unused_mounts(configuration, name, section, service)
        faults += _impossible_rollout(configuration, name, section, services)
        job = _job(section.job, awaited=name in jobs)
        faults += gate_faults(configuration, name, section.gate, service, is_job=job is not None)
        hosts = _hosts_of(configuration, role)
        if hosts is None:
            faults.append(_role_fault(configuration, name, role))
            continue
        resolved[name] = ServiceSettings(
            role=role,
            hosts=tuple(sorted(set(hosts))),
            job=job,
            gate=gate_of(configuration.environment.gate, section.gate, service.get("healthcheck")),
            paths=None if section.paths is None else tuple(section.paths),
            state=frozenset(resolve(configuration.folder, path) for path in section.mounts),
            rollout=_rollout(configuration.environment.rollout, section),
        )
    if faults:
        raise ConfigInvalidError(faults)
    return resolved


def _over(base: ServiceSection, over: ServiceSection) -> ServiceSection:
    """`base` with what `over` says; a gate and mounts that both speak of are joined key by key."""
    said = {name: getattr(over, name) for name in over.model_fields_set}
    chosen = {name: value for name, value in said.items() if value is not None}
    joined = {"gate": gate_over(base.gate, over.gate), "mounts": {**base.mounts, **over.mounts}}
    return base.model_copy(update={**chosen, **joined})


def _job(section: JobSection | None, *, awaited: bool) -> Job | None:
    if section is not None:
        return Job(on_rollback=section.on_rollback)
    return Job() if awaited else None


def _awaited_jobs(services: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The services that another waits for until they have ended."""
    return {
        name
        for service in services.values()
        for name, how in service.get("depends_on", {}).items()
        if how.get("condition") == _COMPLETED
    }


def _hosts_of(configuration: Configuration, role: str) -> list[str] | None:
    """The hosts of a role; None for a role that has none."""
    hosts = configuration.environment.hosts or configuration.project.hosts
    return [LOCAL_HOST] if hosts is None else hosts.get(role)


def unknown_services(configuration: Configuration, services: Collection[str]) -> list[Fault]:
    """A fault for each name that is no service, where it stands; a name of both files is told once."""
    project, environment = configuration.project.services, configuration.environment
    code = FindingCode.SERVICE_UNKNOWN
    faults = [
        configuration.project_document.fault(("services", name), unknown("service", name, services), code)
        for name in project
        if name not in services
    ]
    faults += [
        configuration.environment_fault(("services", name), unknown("service", name, services), code)
        for name in environment.services
        if name not in services and name not in project
    ]
    keys = [*services, *keys_of(EnvironmentSection)]
    faults += [
        configuration.environment_fault((name,), unknown("service or key", name, keys), code)
        for name in environment.modes
        if name not in services
    ]
    return faults


def unknown_roles(configuration: Configuration, names: Iterable[str]) -> list[Fault]:
    """A fault for each of the services `names` whose role has no host, where the role stands."""
    sections = service_sections(configuration)
    roles = {name: sections.get(name, ServiceSection()).role or DEFAULT_ROLE for name in names}
    return [
        _role_fault(configuration, name, role)
        for name, role in roles.items()
        if _hosts_of(configuration, role) is None
    ]


def _unused_mounts(
    configuration: Configuration, name: str, section: ServiceSection, service: Mapping[str, Any]
) -> list[Fault]:
    """Entries of `mounts` for paths that the service does not mount from the repository."""
    sources = (str(mount.get("source") or "") for mount in service.get("volumes") or ())
    known = {
        source.removeprefix(COMMIT_PREFIX).replace("$$", "$")
        for source in sources
        if source.startswith(COMMIT_PREFIX)
    }
    over = configuration.environment.services.get(name)
    faults: list[Fault] = []
    for path in section.mounts:
        if resolve(configuration.folder, path) in known:
            continue
        in_environment = over is not None and path in over.mounts
        fault = configuration.environment_fault if in_environment else configuration.project_document.fault
        faults.append(fault(("services", name, "mounts", path), unknown("mount", path, known)))
    return faults


def _rollout(environment: RolloutSection | None, section: ServiceSection) -> Strategy | None:
    """What is asked for: the service's own word, and stop-first where the environment has nothing else."""
    if environment is not None and not environment.enabled:
        return "stop-first"
    if (own := _own_strategy(section)) is not None:
        return own
    traffic = None if environment is None else environment.traffic
    return "stop-first" if traffic is not None and traffic.strategy == "stop-first" else None


def _own_strategy(section: ServiceSection) -> Strategy | None:
    traffic = None if section.rollout is None else section.rollout.traffic
    asked = None if traffic is None else traffic.strategy
    return None if asked == "canary" else asked


def _impossible_rollout(
    configuration: Configuration,
    name: str,
    section: ServiceSection,
    services: Mapping[str, Mapping[str, Any]],
) -> list[Fault]:
    """`start-first` for a service of which two containers cannot be at once."""
    causes = [*forbidden(services[name]), *shared_by(name, services)]
    if _own_strategy(section) != "start-first" or not causes:
        return []
    over = configuration.environment.services.get(name)
    in_environment = over is not None and over.rollout is not None
    fault = configuration.environment_fault if in_environment else configuration.project_document.fault
    message = f"service {name!r} cannot be replaced start-first: {', '.join(causes)}"
    return [fault(("services", name, "rollout"), message)]


def _role_fault(configuration: Configuration, name: str, role: str) -> Fault:
    """A service whose role has no host, reported where the role stands."""
    hosts = configuration.environment.hosts or configuration.project.hosts or {}
    message, code = f"service {name!r}: {unknown('role', role, hosts)}", FindingCode.ROLE_UNKNOWN
    over = configuration.environment.services.get(name)
    if over is not None and over.role:
        return configuration.environment_fault(("services", name, "role"), message, code)
    return configuration.project_document.fault(("services", name, "role"), message, code)
