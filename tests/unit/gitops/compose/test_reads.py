"""What a Compose file makes the client open, and what is refused in it."""

from __future__ import annotations

import pytest

from events.kernel.errors import UserError
from gitops.compose.faults import (
    COMPOSE_HOME_REFUSED,
    COMPOSE_INVALID,
    COMPOSE_KEY_REFUSED,
    COMPOSE_PATH_REFUSED,
    COMPOSE_PROGRAM_REFUSED,
    COMPOSE_REMOTE_REFUSED,
    COMPOSE_SOCKET_REFUSED,
    VOLUME_AMBIGUOUS,
)
from gitops.compose.reads import Scan, scan


def scanned(content: str) -> Scan:
    return scan("compose.yaml", content.encode())


def service(body: str) -> str:
    return f"services:\n  web:\n    image: x\n    {body}\n"


def refusal(content: str) -> UserError:
    with pytest.raises(UserError) as caught:
        scanned(content)
    return caught.value


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("env_file: a.env", [("env_file", "a.env", True)]),
        ("env_file: [a.env, ./b.env]", [("env_file", "a.env", True), ("env_file", "./b.env", True)]),
        ("env_file: [{path: a.env}]", [("env_file", "a.env", True)]),
        ("env_file: [{path: a.env, required: false, format: raw}]", [("env_file", "a.env", False)]),
        ("env_file: [{path: a.env, required: true}]", [("env_file", "a.env", True)]),
        ("label_file: [l1, l2]", [("label_file", "l1", True), ("label_file", "l2", True)]),
        ("extends: {file: base/x.yml, service: web}", [("extends", "base/x.yml", True)]),
        ("extends: {service: other}", []),
        ("extends: other", []),
        ("env_file:", []),
        ("env_file: ['']", []),
        ("env_file: !override [a.env]", [("env_file", "a.env", True)]),
    ],
)
def test_files_that_a_service_names_are_found(body: str, found: list[tuple[str, str, bool]]) -> None:
    references = scanned(service(body)).references
    assert [(reference.kind, reference.path, reference.required) for reference in references] == found


def test_files_named_through_an_anchor_are_found() -> None:
    content = "x-base: &base {env_file: a.env}\nservices:\n  web: {<<: *base, image: x}\n"
    assert [reference.path for reference in scanned(content).references] == ["a.env"]


def test_every_document_of_a_file_is_looked_at_as_compose_merges_them() -> None:
    content = service("env_file: a.env") + "---\n" + service("env_file: b.env")
    assert [reference.path for reference in scanned(content).references] == ["a.env", "b.env"]


def test_all_forms_of_include_are_found() -> None:
    found = scanned(
        "include:\n"
        "  - one.yml\n"
        "  - path: two.yml\n"
        "  - {path: [three.yml, four.yml], project_directory: sub, env_file: x.env}\n"
    ).includes
    paths = [[reference.path for reference in include.paths] for include in found]
    assert paths == [["one.yml"], ["two.yml"], ["three.yml", "four.yml"]]
    assert found[2].project_folder is not None
    assert found[2].project_folder.path == "sub"
    assert [reference.path for reference in found[2].env_files] == ["x.env"]
    assert (found[0].project_folder, found[1].env_files) == (None, ())


def test_profiles_and_a_name_are_noticed() -> None:
    found = scanned("name: other\n" + service("profiles: [debug]"))
    assert found.profiles
    assert found.name is not None
    assert found.name.line == 1
    assert not scanned(service("image: y")).profiles


@pytest.mark.parametrize(
    ("content", "code", "line", "key"),
    [
        (service("env_file: /proc/1/environ"), COMPOSE_PATH_REFUSED, 4, "services.web.env_file"),
        (service("env_file: /etc/../dev/stdin"), COMPOSE_PATH_REFUSED, 4, "services.web.env_file"),
        (service("label_file: /etc/platform/env"), COMPOSE_PATH_REFUSED, 4, "services.web.label_file"),
        (service("env_file: ${D}/x.env"), COMPOSE_PATH_REFUSED, 4, "services.web.env_file"),
        (
            service("env_file: [{path: $D/x, required: false}]"),
            COMPOSE_PATH_REFUSED,
            4,
            "services.web.env_file",
        ),
        (service("env_file: ~/x.env"), COMPOSE_HOME_REFUSED, 4, "services.web.env_file"),
        (service("env_file: https://x/y"), COMPOSE_REMOTE_REFUSED, 4, "services.web.env_file"),
        (service("label_file: /etc/passwd"), COMPOSE_PATH_REFUSED, 4, "services.web.label_file"),
        (
            service("extends: {file: /etc/x, service: y}"),
            COMPOSE_PATH_REFUSED,
            4,
            "services.web.extends.file",
        ),
        (
            service("extends: {file: '${X}', service: y}"),
            COMPOSE_PATH_REFUSED,
            4,
            "services.web.extends.file",
        ),
        ("include: ['https://github.com/o/r.git']", COMPOSE_REMOTE_REFUSED, 1, "include[0]"),
        ("include: ['git@github.com:o/r.git']", COMPOSE_REMOTE_REFUSED, 1, "include[0]"),
        ("include: ['github.com/o/r']", COMPOSE_REMOTE_REFUSED, 1, "include[0]"),
        ("include: ['oci://docker.io/x']", COMPOSE_REMOTE_REFUSED, 1, "include[0]"),
        ("include: [{path: '${X}.yml'}]", COMPOSE_PATH_REFUSED, 1, "include[0].path"),
        ("include: [{path: a, env_file: /etc/x}]", COMPOSE_PATH_REFUSED, 1, "include[0].env_file"),
        (
            "include: [{path: a, project_directory: /}]",
            COMPOSE_PATH_REFUSED,
            1,
            "include[0].project_directory",
        ),
        (service("provider: {type: /bin/sh}"), COMPOSE_PROGRAM_REFUSED, 4, "services.web.provider"),
        (service("use_api_socket: true"), COMPOSE_SOCKET_REFUSED, 4, "services.web.use_api_socket"),
        (service("use_api_socket: ${X}"), COMPOSE_SOCKET_REFUSED, 4, "services.web.use_api_socket"),
        (service("volumes: ['d:/data']"), VOLUME_AMBIGUOUS, 4, "services.web.volumes[0]"),
        (service("volumes: ['~/x:/y']"), COMPOSE_HOME_REFUSED, 4, "services.web.volumes[0]"),
        (service("volumes: [{type: bind, source: ~/x}]"), COMPOSE_HOME_REFUSED, 4, "services.web.volumes[0]"),
        (service("command: echo ${HOME}"), COMPOSE_HOME_REFUSED, 4, "services.web.command"),
        (service("command: [echo, '${X:-$HOME}']"), COMPOSE_HOME_REFUSED, 4, "services.web.command[1]"),
        (service("command: echo $$$HOME"), COMPOSE_HOME_REFUSED, 4, "services.web.command"),
        (service("command: echo ${DOCKER_CONFIG}"), COMPOSE_HOME_REFUSED, 4, "services.web.command"),
        (service("environment: {'A$B': x}"), COMPOSE_KEY_REFUSED, 4, "services.web.environment.A$B"),
        ("x-a: [{'$': 1}]\n", COMPOSE_KEY_REFUSED, 1, "x-a[0].$"),
        (service("command: !custom x"), COMPOSE_INVALID, 4, None),
        ("a: ]", COMPOSE_INVALID, 1, None),
        ("services: {web: {<<: 3}}", COMPOSE_INVALID, 1, None),
    ],
)
def test_hostile_input_is_refused_with_its_place(content: str, code: str, line: int, key: str | None) -> None:
    error = refusal(content)
    assert (error.code, error.where.line) == (code, line)
    assert (error.where.file, error.where.key or None) == ("compose.yaml", key)


@pytest.mark.parametrize(
    "body",
    [
        "command: echo $$HOME $${HOME} $HOMEPAGE",
        "provider:",
        "use_api_socket: false",
        "use_api_socket:",
        "volumes: ['data:/d', './x:/y', '/abs:/z', {type: volume, source: d, target: /d}, {type: tmpfs}]",
        "env_file: {path: [a]}",
    ],
)
def test_what_only_looks_dangerous_passes(body: str) -> None:
    assert scanned(service(body)).references == ()


@pytest.mark.parametrize("content", ["", "[]", "services: []", "services: {web: }", "include: 3", "x"])
def test_odd_shapes_are_left_to_compose(content: str) -> None:
    scanned(content)


def test_all_refusals_of_a_file_are_named_at_once() -> None:
    error = refusal(service("env_file: ~/x\n    provider: {type: y}"))
    assert error.message.startswith("2 things in the Compose files are refused:")
    assert error.code in {COMPOSE_HOME_REFUSED, COMPOSE_PROGRAM_REFUSED}


def test_an_env_file_of_the_host_is_noted_and_is_no_file_of_the_commit() -> None:
    found = scanned(service("env_file: [/etc/platform/env, own.env]"))
    assert found.host_env
    assert [reference.path for reference in found.references] == ["own.env"]
    assert not scanned(service("env_file: own.env")).host_env


def test_a_refused_text_cannot_drive_a_terminal() -> None:
    error = refusal(service('env_file: "/etc/\\e[31mred"'))
    assert "\x1b" not in str(error)
