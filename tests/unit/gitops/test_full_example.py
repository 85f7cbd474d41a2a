"""The example with every key: it is sound, it is complete, and no key of it is passed over in silence."""

from __future__ import annotations

import pytest

from cli.docs_tables import schema_table
from controller.providers.table import PROVIDERS
from gitops.check import check_controller, check_project
from gitops.config.plain import is_list, is_mapping
from gitops.config.section import keys_of
from gitops.config.shape import keys_in, part_at, section_in
from gitops.findings import FindingCode, Severity
from gitops.source.worktree import WorkTree
from tests.unit.gitops.examples import FULL, MODELS, example


def keys_said(shape: object, value: object) -> set[str]:
    """`<section>.<key>` of every key of a schema that the data holds."""
    found: set[str] = set()
    section = section_in(shape)
    for name in keys_in(value):
        part = part_at(shape, value, name)
        if part is not None:
            fixed = keys_of(section) if section is not None and is_mapping(value) else {}
            found |= {f"{section.__name__}.{name}"} if section is not None and name in fixed else set()
            found |= keys_said(part.shape, part.value)
    return found


def all_keys(shape: object, seen: set[str]) -> set[str]:
    """`<section>.<key>` of every key of a schema."""
    section = section_in(shape)
    if section is None or section.__name__ in seen:
        return set()
    seen.add(section.__name__)
    found = {f"{section.__name__}.{key}" for key in keys_of(section)}
    for info in section.model_fields.values():
        for inner in _inner(info.annotation):
            found |= all_keys(inner, seen)
    return found


def _inner(annotation: object) -> list[object]:
    arguments = getattr(annotation, "__args__", ())
    return [annotation, *(found for one in arguments for found in _inner(one))]


@pytest.mark.parametrize("names", [("stagecraft", "descriptor"), ("controller",)])
def test_every_key_of_the_schema_stands_in_the_example(names: tuple[str, ...]) -> None:
    shown = {key for name in names for key in keys_said(MODELS[name][1], example(name).data)}
    assert all_keys(MODELS[names[0]][1], set()) - shown == set()


def test_the_example_has_no_error_and_only_providers_that_are_not_ready() -> None:
    findings = check_project(WorkTree(FULL), "stagecraft.yml", providers=PROVIDERS)
    findings += check_controller(FULL / "controller.yml")
    kinds = {(one.code, one.severity) for one in findings}
    assert kinds == {
        (FindingCode.UNUSED_KEY, Severity.INFO),
        (FindingCode.PROVIDER_NOT_READY, Severity.WARNING),
    }


def test_what_is_not_reported_is_what_counts() -> None:
    """A key that begins to count is taken off the list of unused ones by its mark, and then stands here."""
    findings = check_project(WorkTree(FULL), "stagecraft.yml", providers=PROVIDERS)
    unused = [one for one in findings if one.code is FindingCode.UNUSED_KEY]
    reported = {one.key for one in unused if one.file == "stagecraft.yml"}
    silent = {key for key in _leaves(example("stagecraft").data, "") if key not in reported}
    assert {key for key in silent if not key.startswith("hosts.")} == {
        "project.name",
        "project.registry",
        "images.refresh",
        "images.wait",
        "images.keep",
        "services.front.role",
        "services.shop.role",
        "services.shop.paths",
        "services.shop.gate.settle",
        "services.shop.gate.deadline",
        "services.shop.gate.http.port",
        "services.shop.gate.http.path",
        "services.shop.gate.http.status",
        "services.shop.gate.http.host",
        "services.shop.gate.timeout",
        "services.shop.gate.watch",
        "services.shop.gate.logs.silent_of",
        "services.shop.probe.path",
        "services.shop.probe.rate",
        "services.menu.role",
        "services.orders.role",
        "services.orders.gate.tcp.port",
        "services.orders.gate.command",
        "services.orders.mounts../orders/archive",
        "services.schema.role",
        "services.schema.job.on_rollback",
        "environments.dev.hosts.gateway",
        "environments.dev.hosts.shop",
        "environments.dev.hosts.data",
        "environments.prod.compose_project",
        "environments.prod.version",
        "environments.prod.gate.settle",
        "environments.prod.gate.watch",
        "environments.prod.drift",
        "environments.prod.images.refresh",
        "environments.prod.gate.deadline",
        "environments.prod.services.orders.gate.deadline",
        "environments.prod.rollout.enabled",
        "environments.prod.rollout.parallel",
        "environments.prod.rollout.most_removed",
        "environments.prod.rollout.hosts.canary",
        "environments.prod.rollout.hosts.max_parallel",
        "environments.prod.rollout.hosts.max_failures",
        "environments.prod.rollout.hosts.on_unreachable",
        "environments.prod.rollout.on_failure",
        "environments.prod.rollout.traffic.strategy",
        "environments.prod.rollout.traffic.steps",
        "environments.prod.rollout.traffic.watch_seconds",
        "environments.prod.rollout.traffic.drain_seconds",
        *(
            f"environments.prod.routes[0].{key}"
            for key in ("host", "path", "service", "port", "tls", "sticky")
        ),
        *(f"environments.prod.routes[1].{key}" for key in ("host", "path", "service", "port", "protocol")),
        "environments.prod.routes[1].entry_point",
        *(f"environments.prod.routes[2].{key}" for key in ("host", "service", "port", "tls", "protocol")),
        *(f"environments.prod.maintenance.{key}" for key in ("service", "port", "path")),
        "environments.prod.probe.path",
        "environments.prod.probe.rate",
        "services.shop.rollout.traffic.strategy",
        "services.shop.rollout.traffic.steps",
        "services.shop.rollout.traffic.watch_seconds",
        "services.shop.rollout.traffic.drain_seconds",
        "infra.bootstrap.docker.install",
        "network.provider",
        "network.static.hosts.edge-1.address",
        "network.static.hosts.data-1.address",
        "network.static.hosts.data-1.port",
        "environments.dev.env_file",
        "environments.dev.orders_volume",
        "environments.dev.orders_init_scripts",
        "environments.dev.orders_port_publish",
        "environments.dev.traefik.mode",
        "environments.dev.traefik.mkcert_cert_dir",
        "environments.dev.traefik.dynamic_config_dir",
        "environments.dev.traefik.dashboard_auth",
        "environments.dev.traefik.hsts",
        "environments.dev.traefik.cors_for_logto",
        "environments.dev.gateway",
        "environments.dev.shop.mode",
        "environments.dev.shop.url",
        "environments.prod.env_file",
        "environments.prod.orders_volume",
        "environments.prod.orders_port_publish",
        "environments.prod.traefik.mode",
        "environments.prod.traefik.acme_email_env",
        "environments.prod.traefik.acme_storage",
        "environments.prod.traefik.dashboard_auth",
        "environments.prod.traefik.hsts",
        "environments.prod.gateway",
        "environments.prod.shop.mode",
    }


def _leaves(value: object, key: str) -> set[str]:
    """Dotted keys of all values; a list of plain values is one."""
    if is_mapping(value) and value:
        return {leaf for name, below in value.items() for leaf in _leaves(below, f"{key}.{name}".lstrip("."))}
    if is_list(value) and any(is_mapping(item) for item in value):
        return {leaf for n, below in enumerate(value) for leaf in _leaves(below, f"{key}[{n}]")}
    return {key}


def test_the_examples_name_schemas_that_are_there() -> None:
    for path, _model in MODELS.values():
        named = path.read_text().splitlines()[0].rpartition("$schema=")[2]
        assert (path.parent / named).resolve().is_file()


def test_the_reference_has_a_row_for_each_key() -> None:
    (table,) = schema_table(MODELS["descriptor"][1])
    assert "| `<name>_port_publish` | text |" in table
    assert "| `<name>.mode` |" in table
