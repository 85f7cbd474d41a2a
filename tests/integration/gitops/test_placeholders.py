"""References to variables of a host's file, by the real Compose client: they stay and mean the same."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from events.kernel.compose_client import compose_client
from gitops.compose.faults import COMPOSE_PATH_REFUSED
from gitops.compose.marks import HOST_REFERENCE_UNCLEAR
from gitops.compose.placeholders import HOST_VARIABLE_MISPLACED
from gitops.findings import FindingCode
from gitops.manifest import Draft
from tests.integration.gitops.renders import completed, drafted, refusal, service_of

PROJECT = "project: {name: shop}\nenvironments: {prod: {env_file: /etc/platform/env}}\n"
DOTENV = "OWN='of $the repository'\n"


def files(service: str, **more: str) -> dict[str, str]:
    named = {name.replace("__", "/").replace("_", "."): text for name, text in more.items()}
    return {
        "stagecraft.yml": PROJECT,
        "compose.yaml": f"services:\n  web: {{image: x, {service}}}\n",
        ".env": DOTENV,
        **named,
    }


def made_of(folder: Path, service: str, **more: str) -> Draft:
    return drafted(folder, files(service, **more))


def filled_in(document: object, values: dict[str, str], folder: Path) -> dict[str, Any]:
    """What the pinned client makes of a document, or of a Compose file, with these variables."""
    if isinstance(document, Path):
        argv, given = ["-f", str(document), "--env-file", str(document.parent / ".env")], None
    else:
        argv, given = ["-f", "-"], json.dumps(document).encode()
    done = subprocess.run(
        [str(compose_client()), "-p", "q", *argv, "config", "--format", "json"],
        input=given,
        env={"HOME": str(folder), "COMPOSE_DISABLE_ENV_FILE": "1", **values},
        capture_output=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)["services"]["web"]
    return found


TEXTS = (
    "${PW}",
    "$PW",
    "postgres://u:${PW}@${HOST_NAME:-db}:5432/x?a=$$b",
    "${PW:-x}${PW-y}",
    "${PW:+set}",
    "${PW:-a b}",
    "${PW:-${OTHER:-z}}",
    "${PW:-${OWN}}",
    "${PW:-x$$y}",
    "${OWN:-${PW}}",
    "$$PW and $${PW:-x}",
    "${PW:-}",
    "${PW-${OTHER}}",
)


@pytest.mark.parametrize(
    "values", [{}, {"PW": ""}, {"PW": "a$b c'd", "OTHER": "o"}], ids=["none", "empty", "set"]
)
def test_what_is_left_comes_to_what_compose_makes_of_the_file_itself(
    tmp_path: Path, values: dict[str, str]
) -> None:
    environment = {f"T{number}": text for number, text in enumerate(TEXTS)}
    given = files(f"environment: {json.dumps(environment)}, command: {json.dumps(list(TEXTS))}")
    document = drafted(tmp_path / "tree", given).hosts["local"].document
    for name, text in given.items():
        (tmp_path / name).write_text(text)
    left = filled_in(document, values, tmp_path)
    right = filled_in(tmp_path / "compose.yaml", values, tmp_path)
    assert (left["environment"], left["command"]) == (right["environment"], right["command"])


@pytest.mark.parametrize(
    ("service", "at", "expected"),
    [
        ("environment: ['A=${PW:?why}']", ("environment", "A"), "${PW:?why}"),
        ("environment: [PW]", ("environment", "PW"), None),
        ("entrypoint: ['run', '$PW']", ("entrypoint", 1), "${PW}"),
        ("command: 'run ${PW} now'", ("command", 1), "${PW}"),
        ("labels: {a.b: '${PW}'}", ("labels", "a.b"), "${PW}"),
        ("healthcheck: {test: 'curl ${PW}'}", ("healthcheck", "test", 1), "curl ${PW}"),
        ("annotations: {a: '${PW}'}", ("annotations", "a"), "${PW}"),
        ("logging: {options: {a: '${PW}'}}", ("logging", "options", "a"), "${PW}"),
        ("environment: {A: '${OWN}'}", ("environment", "A"), "of $$the repository"),
        ("environment: {A: '${OWN}${PW}'}", ("environment", "A"), "of $$the repository${PW}"),
    ],
)
def test_texts_keep_their_references(
    tmp_path: Path, service: str, at: tuple[str | int, ...], expected: str | None
) -> None:
    made = made_of(tmp_path, service)
    found: Any = service_of(made, "web")
    for key in at:
        found = found[key]
    assert found == expected
    assert made.unset_variables == ()
    assert made.hosts["local"].env_file == (
        None if expected == "of $$the repository" else "/etc/platform/env"
    )


@pytest.mark.parametrize(
    ("service", "key"),
    [
        ("ports: ['${X}:80']", "services.web.ports.0"),
        ("ports: [{target: 80, published: '${X}'}]", "services.web.ports.0.published"),
        ("mem_limit: '${X}'", "services.web.mem_limit"),
        ("deploy: {replicas: '${X}'}", "services.web.deploy.replicas"),
        ("privileged: '${X}'", "services.web.privileged"),
        ("volumes: ['/srv/${X}:/d']", "services.web.volumes.0.source"),
        ("hostname: '${X}'", "services.web.hostname"),
        ("environment: ['${X}=1']", "services.web.environment.(a name)"),
        ("environment: {A: '${X}'}, user: '${X}'", "services.web.user"),
        ("environment: {A: '${Y:-${X}}'}, user: '${X:-1}'", "services.web.user"),
    ],
)
def test_a_place_that_takes_no_text_is_refused_by_name(tmp_path: Path, service: str, key: str) -> None:
    error = refusal(tmp_path, files(service))
    assert (error.code, error.where.key, error.where.service) == (HOST_VARIABLE_MISPLACED, key, "web")
    assert "X" in error.message
    assert "${X:-value}" in error.next


def test_a_place_that_takes_no_text_takes_the_default_with_a_note(tmp_path: Path) -> None:
    made = made_of(tmp_path, "ports: ['${X:-8080}:80'], environment: {PORT: '${X:-8080}', PW: '${PW}'}")
    web = service_of(made, "web")
    assert web["ports"][0]["published"] == "8080"
    assert web["environment"] == {"PORT": "8080", "PW": "${PW}"}
    (finding,) = [one for one in made.findings if one.code is FindingCode.HOST_VARIABLE_NOT_ASKED]
    assert (finding.severity, finding.key) == ("info", "services.web.ports.0")
    assert "/etc/platform/env is not asked for X" in finding.message


@pytest.mark.parametrize(
    "service",
    [
        "command: 'run ${X:-a b}'",
        "environment: {A: '${X:-{}}'}",
        'environment: {A: "${X:-\\x41}"}',
        "environment: {A: '${X:-${BRACES}}'}",
    ],
)
def test_what_may_be_read_in_two_ways_is_refused(tmp_path: Path, service: str) -> None:
    given = {**files(service), ".env": 'BRACES={"a":1}\n'}
    assert refusal(tmp_path, given).code == HOST_REFERENCE_UNCLEAR


def test_overlays_anchors_and_extended_services_count(tmp_path: Path) -> None:
    compose = """include: [{path: inner.yml, env_file: inner.vars}]
x-all: &all {A: "${PW}", UNUSED: "${X_ALONE}"}
services:
  web:
    extends: {file: base.yml, service: base}
    environment:
      <<: *all
      B: >-
        ${PW}
        ${OTHER:-o}
  copy: {image: y, environment: *all}
"""
    given = {
        "stagecraft.yml": PROJECT,
        "compose.yaml": "\ufeff" + compose,
        "base.yml": "services: {base: {image: x, labels: ['l=${PW}'], ports: !reset ['${GONE}:1']}}\n",
        "inner.yml": "services: {inner: {image: z, environment: {C: '${INNER}', D: '${PW}'}}}\n",
        "inner.vars": "INNER=known\n",
    }
    made = drafted(tmp_path, given)
    assert service_of(made, "web")["environment"] == {
        "A": "${PW}",
        "B": "${PW} ${OTHER:-o}",
        "UNUSED": "${X_ALONE}",
    }
    assert service_of(made, "web")["labels"]["l"] == "${PW}"
    assert service_of(made, "copy")["environment"]["A"] == "${PW}"
    assert service_of(made, "inner")["environment"] == {"C": "known", "D": "${PW}"}


def test_without_such_a_file_a_variable_is_blank_as_before(tmp_path: Path) -> None:
    given = {
        **files("environment: {A: '${PW}'}"),
        "stagecraft.yml": PROJECT.replace("/etc/platform/env", "e"),
    }
    made = drafted(tmp_path, {**given, "e": "B=1\n"})
    assert made.unset_variables == ("PW",)
    assert made.hosts["local"].env_file is None


def test_a_document_without_references_names_no_file_and_keeps_its_digest(tmp_path: Path) -> None:
    manifest = completed(made_of(tmp_path, "environment: {A: '1'}"))
    assert b"env_file" not in manifest.encode()
    assert type(manifest).decode(manifest.encode()) == manifest


def test_the_manifest_names_the_file_and_the_hash_is_over_the_reference(tmp_path: Path) -> None:
    one = completed(made_of(tmp_path / "a", "environment: {A: '${PW}'}"))
    two = completed(made_of(tmp_path / "b", "environment: {A: '${PW:-x}'}"))
    assert one.hosts["local"].env_file == "/etc/platform/env"
    assert type(one).decode(one.encode()).digest == one.digest
    assert one.service_hashes() != two.service_hashes()


def test_what_nobody_wrote_is_no_such_file(tmp_path: Path) -> None:
    given = files("environment: {A: '${PW}'}")
    given["stagecraft.yml"] = PROJECT.replace("/etc/platform/env", "/proc/1/environ")
    assert refusal(tmp_path, given).code == COMPOSE_PATH_REFUSED


def test_stagecrafts_own_keys_need_a_permission(tmp_path: Path) -> None:
    given = files("environment: {A: '${PW}'}")
    given["stagecraft.yml"] = PROJECT.replace("/etc/platform/env", "/var/lib/stagecraft/keys/binding.key")
    made = drafted(tmp_path, given)
    assert [one.key for one in made.findings if one.code is FindingCode.NEEDS_PERMISSION] == [
        "services.web.env_file"
    ]
