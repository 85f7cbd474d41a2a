"""One broken file for each rule of stagecraft.yml and of descriptors."""

from __future__ import annotations

import pytest

from events.kernel.errors import UserError
from gitops.config.document import load_document
from gitops.config.faults import CONFIG_INVALID
from gitops.config.models import EnvironmentSection, StagecraftFile
from gitops.config.schema import parse

VALID = """\
project:
  name: shop
  registry: ghcr.io/org/shop
hosts:
  app: [h1, h2.example.org]
  db: [h3]
services:
  web: {role: app, gate: {settle: 500ms, deadline: 2m}, paths: [src]}
  migrate:
    job: {on_rollback: true}
  worker:
environments:
  prod:
    compose_project: shop-live
    version: v1.2
    gate: {deadline: 5m}
    hosts: {app: [h9]}
    services: {web: {role: db}}
  staging:
"""


def parsed(content: str) -> StagecraftFile:
    return parse(load_document("stagecraft.yml", content.encode()), StagecraftFile)


def refusal(content: str) -> UserError:
    with pytest.raises(UserError) as caught:
        parsed(content)
    return caught.value


def test_a_full_file_is_read() -> None:
    file = parsed(VALID)
    assert file.project.registry == "ghcr.io/org/shop"
    assert file.hosts == {"app": ["h1", "h2.example.org"], "db": ["h3"]}
    assert file.services["web"].gate.settle == 0.5
    assert file.services["web"].gate.deadline == 120.0
    assert file.services["migrate"].job is not None
    assert file.services["migrate"].job.on_rollback
    assert file.services["worker"].job is None
    assert file.environments["prod"].version == "v1.2"


def test_empty_sections_stand_for_their_defaults() -> None:
    file = parsed("project: {name: a}\nservices:\nenvironments:\n  prod:\n")
    assert (file.services, file.environments) == ({}, {"prod": EnvironmentSection()})
    assert parsed("project: {name: a}\nservices: {w: {job: , gate: }}").services["w"].job is not None


@pytest.mark.parametrize(
    ("old", "new", "key", "line", "message"),
    [
        (
            "project:\n  name: shop\n  registry: ghcr.io/org/shop\n",
            "",
            "project",
            None,
            "'project' is missing",
        ),
        ("  name: shop\n", "", "project.name", 1, "'name' is missing"),
        ("name: shop", "name:", "project.name", 2, "it must be text"),
        ("name: shop", "name: ''", "project.name", 2, "a name has lower-case letters"),
        ("name: shop", "name: My Shop", "project.name", 2, "'my-shop' would do"),
        ("name: shop", "name: 12", "project.name", 2, "put a number, a date or yes/no in quotes"),
        ("name: shop", "name: ../shop", "project.name", 2, "'shop' would do"),
        ("name: shop", 'name: "a\\u001b[31m"', "project.name", 2, "a name has"),
        ("name: shop", f"name: {'x' * 64}", "project.name", 2, "at most 63"),
        ("ghcr.io/org/shop", "https://ghcr.io/org", "project.registry", 3, "no scheme"),
        ("ghcr.io/org/shop", "Ghcr.io/Org", "project.registry", 3, "a registry is a host and a path"),
        ("  registry:", "  registri:", "project.registri", 3, "did you mean 'registry'?"),
        ("  app: [h1, h2.example.org]\n  db: [h3]\n", "  {}\n", "hosts", 4, "it must not be empty"),
        ("[h1, h2.example.org]", "[]", "hosts.app", 5, "it must not be empty"),
        ("[h1, h2.example.org]", "[h1, '']", "hosts.app[1]", 5, "a host name has"),
        ("[h1, h2.example.org]", "[h1, a/b]", "hosts.app[1]", 5, "a host name has"),
        ("[h1, h2.example.org]", "[h1, -oProxy]", "hosts.app[1]", 5, "a host name has"),
        ("[h1, h2.example.org]", "h1", "hosts.app", 5, "it must be a list"),
        ("[h1, h2.example.org]", "[7]", "hosts.app[0]", 5, "it must be text"),
        ("  app: [h1", "  A/B: [h1", "hosts.A/B", 5, "a name has"),
        ("role: app", "role: ''", "services.web.role", 8, "a name has"),
        ("role: app", "rol: app", "services.web.rol", 8, "did you mean 'role'?"),
        ("  web:", "  web/x:", "services.web/x", 8, "a service name has"),
        ("settle: 500ms", "settle: 500", "services.web.gate.settle", 8, "a length of time is text"),
        ("settle: 500ms", "settle: soon", "services.web.gate.settle", 8, "is not a length of time"),
        ("settle: 500ms", "settle: 0s", "services.web.gate.settle", 8, "more than nothing"),
        ("settle: 500ms", "setle: 2s", "services.web.gate.setle", 8, "allowed: command, deadline"),
        ("paths: [src]", "paths: src", "services.web.paths", 8, "it must be a list"),
        ("on_rollback: true", "on_rollback: 'yes'", "services.migrate.job.on_rollback", 10, "boolean"),
        ("on_rollback: true", "always: true", "services.migrate.job.always", 10, "allowed: on_rollback"),
        ("  worker:", "  worker: x", "services.worker", 11, "it must hold keys and values"),
        ("services:\n", "services: []\nx:\n", "services", 7, "it must hold keys and values"),
        ("version: v1.2", "version: 1.2", "environments.prod.version", 15, "it must be text"),
        ("version: v1.2", "version: a/b", "environments.prod.version", 15, "a version is an image tag"),
        ("shop-live", "Shop Live", "environments.prod.compose_project", 14, "'shop-live' would do"),
        ("  prod:\n", "  Prod Env:\n", "environments.Prod Env", 13, "'prod-env' would do"),
        ("    hosts: {app: [h9]}", "    hosts: {}", "environments.prod.hosts", 17, "it must not be empty"),
        ("{web: {role: db}}", "{web: {rle: db}}", "environments.prod.services.web.rle", 18, "'role'"),
        ("project:\n", "projct: 1\nproject:\n", "projct", 1, "did you mean 'project'?"),
    ],
)
def test_a_broken_rule_is_named_with_its_place(
    old: str, new: str, key: str, line: int | None, message: str
) -> None:
    assert VALID.count(old) >= 1
    error = refusal(VALID.replace(old, new, 1))
    assert (error.code, error.where.key, error.where.line) == (CONFIG_INVALID, key, line)
    assert message in error.message
    assert "\x1b" not in str(error)


def test_all_broken_rules_are_named_at_once() -> None:
    error = refusal("project: {name: Bad}\nhosts: {}\nenvironments: {prod: {versio: x}}\nmore: 1\n")
    assert error.message.startswith("4 rules are broken:")
    for key in ("project.name", "hosts", "environments.prod.versio", "more"):
        assert f"key {key}" in error.message


def test_a_value_in_the_wrong_place_is_not_shown() -> None:
    error = refusal("project: {name: a}\nservices: {web: {gate: hunter2-secret}}\n")
    assert "hunter2" not in str(error)
    assert error.where.key == "services.web.gate"


def test_a_descriptor_has_the_same_rules() -> None:
    document = load_document("environments/prod.yml", b"version: v1\nhost: {app: [h]}\n")
    with pytest.raises(UserError) as caught:
        parse(document, EnvironmentSection)
    assert "did you mean 'hosts'?" in caught.value.message
    assert (caught.value.where.file, caught.value.where.line) == ("environments/prod.yml", 2)


GATED = """
project: {name: shop}
services:
  web:
    gate:
      http: {port: 8080, path: /health, status: 200-299, host: shop.example.org}
      tcp: {port: 5432}
      command: [pg_isready, -q]
      timeout: 3s
      watch: 10s
      logs: {silent_of: ["FATAL"]}
environments: {prod: {gate: {watch: 30s}}}
"""


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ("port: 8080, ", "", "http.port", "is missing"),
        ("port: 8080", "port: web", "http.port", "it must be a whole number"),
        ("port: 8080", "port: 0", "http.port", "greater than or equal to 1"),
        ("port: 8080", "port: 70000", "http.port", "less than or equal to 65535"),
        ("path: /health", "path: health", "http.path", "it starts with '/'"),
        ("path: /health", "path: http://h/health", "http.path", "it starts with '/'"),
        ("path: /health", 'path: "/a\\r\\nX: y"', "http.path", "it starts with '/'"),
        ("path: /health", "pth: /health", "http.pth", "did you mean 'path'?"),
        ("status: 200-299", "status: 2xx", "http.status", "a status such as 204"),
        ("status: 200-299", "status: 399-200", "http.status", "the lower one"),
        ("status: 200-299", "status: 99", "http.status", "a status such as 204"),
        ("host: shop.example.org", "host: http://shop", "http.host", "no scheme"),
        ("tcp: {port: 5432}", "tcp: 5432", "tcp", "it must hold keys and values"),
        ("[pg_isready, -q]", "pg_isready -q", "command", "it must be a list"),
        ("[pg_isready, -q]", "[]", "command", "must not be empty"),
        ('["FATAL"]', "FATAL", "logs.silent_of", "it must be a list"),
        ('logs: {silent_of: ["FATAL"]}', "logs: {}", "logs.silent_of", "is missing"),
        ("timeout: 3s", "timeout: 3", "timeout", "a length of time is text"),
    ],
)
def test_a_broken_rule_of_a_probe_is_named(old: str, new: str, key: str, message: str) -> None:
    assert GATED.count(old) == 1
    error = refusal(GATED.replace(old, new))
    assert error.where.key == f"services.web.gate.{key}"
    assert message in error.message


def test_an_environment_has_no_probe_for_all_its_services() -> None:
    error = refusal(GATED.replace("{watch: 30s}", "{http: {port: 80}}"))
    assert error.where.key == "environments.prod.gate.http"
    assert "allowed: deadline, settle, watch" in error.message
