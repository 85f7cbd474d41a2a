"""`config check|show|schema` as a person and a program read them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.unit.cli.conftest import Call
from tests.unit.gitops.trees import write

SOUND = "project: {name: shop}\nenvironments: {prod: {version: v1}}\n"
COMPOSE = "services: {web: {image: w}}\n"


def put(folder: Path, **files: str) -> None:
    names = {"stagecraft": "stagecraft.yml", "live": "environments/live.yml", "controller": "c.yml"}
    write(folder, {"compose.yaml": COMPOSE, **{names[name]: text for name, text in files.items()}})


def test_a_sound_project_says_so(call: Call, folder: Path) -> None:
    put(folder, stagecraft=SOUND)
    said = call("config", "check")
    assert (said.code, said.out, said.err) == (0, "no findings\n", "")


def test_findings_are_lines_as_compilers_write_them(call: Call, folder: Path) -> None:
    put(folder, stagecraft=f"{SOUND}hots: 1\ncloud: {{provider: local}}\n")
    said = call("config", "check")
    assert said.code == 1
    assert said.out.splitlines() == [
        (
            "stagecraft.yml:3:1: error: unknown-key: unknown key 'hots'; did you mean 'hosts'? (allowed: "
            "backend, ci, cloud, databases, deploy, destroy, dev, environments, frontend, hooks, hosts, "
            "images, infra, migrations, network, post_deploy, prepare, profiles, project, secrets, services, "
            "source, tenants, terraform, tunnels) (hots)"
        ),
        "stagecraft.yml:4:9: info: unused-key: it is checked and nothing uses it yet (cloud.provider)",
        "errors: 1, warnings: 0, notes: 1",
    ]


def test_warnings_and_notes_alone_exit_with_0(call: Call, folder: Path) -> None:
    put(folder, stagecraft=f"{SOUND}cloud: {{provider: local}}\n")
    said = call("config", "check")
    assert said.code == 0
    assert said.out.splitlines()[-1] == "errors: 0, warnings: 1, notes: 1"


def test_json_is_a_list_of_findings_and_the_same_each_time(call: Call, folder: Path) -> None:
    put(folder, stagecraft=SOUND, live="versio: v1\n")
    said = call("config", "check", "--json")
    assert said == call("config", "check", "--json")
    assert said.code == 1
    (finding,) = json.loads(said.out)
    assert (finding.pop("message")).startswith("unknown key 'versio'; did you mean 'version'?")
    assert finding == {
        "code": "unknown-key",
        "file": "environments/live.yml",
        "line": 1,
        "column": 1,
        "key": "versio",
        "severity": "error",
    }


def test_one_environment_can_be_named(call: Call, folder: Path) -> None:
    put(folder, stagecraft=SOUND, live="versio: v1\n")
    assert call("config", "check", "--env", "prod").code == 0
    assert call("config", "check", "--env", "shop/live").code == 1
    said = call("config", "check", "--env", "prd")
    assert "environment-unknown" in said.err
    assert "'prod'" in said.err


@pytest.mark.parametrize("argv", [(), ("--config", "gone/stagecraft.yml")])
def test_a_missing_file_is_an_error(call: Call, folder: Path, argv: tuple[str, ...]) -> None:
    del folder
    said = call("config", "check", *argv)
    assert (said.code, said.out) == (1, "")
    assert "config-not-found" in said.err


def test_files_are_read_as_they_lie_and_a_commit_when_it_is_named(call: Call, folder: Path) -> None:
    put(folder, stagecraft=SOUND)
    for argv in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *argv], cwd=folder, check=True)
    put(folder, stagecraft="project: [\n")
    assert call("config", "check").code == 1
    assert call("config", "check", "--rev", "HEAD").code == 0


def test_a_controller_file_is_checked(call: Call, folder: Path) -> None:
    put(folder, controller="poll: {interval: 1m}\nlistn: x\n")
    said = call("config", "check", "--controller", "c.yml")
    assert said.code == 1
    assert "did you mean 'listen'?" in said.out


def test_show_prints_what_is_written_and_with_effective_the_defaults(call: Call, folder: Path) -> None:
    put(folder, stagecraft=f"{SOUND}services: {{web: }}\n")
    assert yaml.safe_load(call("config", "show", "--env", "prod").out) == {
        "project": {"name": "shop"},
        "environments": {"prod": {"version": "v1"}},
    }
    assert yaml.safe_load(call("config", "show", "--effective", "--env", "prod").out) == {
        "project": {"name": "shop"},
        "hosts": {"app": ["local"]},
        "services": {"web": {"role": "app", "gate": {"settle": "2s"}}},
        "environments": {"prod": {"compose_project": "shop-prod", "version": "v1"}},
    }


def test_show_says_where_each_value_comes_from(call: Call, folder: Path) -> None:
    content = (
        'project: {name: shop}\nenvironments: {prod: {driver: "a\\nb", pg_port_publish: ""}}\n'
        "hosts: {app: [h1, h2]}\n"
    )
    put(folder, stagecraft=content)
    said = call("config", "show", "--effective", "--origin", "--env", "prod")
    assert said.out.splitlines() == [
        "project:",
        "  name: shop  # stagecraft.yml:1:11",
        "hosts:",
        '  app: ["h1", "h2"]  # stagecraft.yml:3:9',
        "environments:",
        "  prod:",
        "    compose_project: shop-prod  # default",
        '    driver: "a\\nb"  # stagecraft.yml:2:23',
        "    pg_port_publish: ''  # stagecraft.yml:2:39",
    ]
    found = json.loads(call("config", "show", "--effective", "--origin", "--json", "--env", "prod").out)
    assert found["configuration"] == yaml.safe_load(said.out)
    assert found["origins"]["environments.prod.compose_project"] == "default"
    assert json.loads(call("config", "show", "--json", "--env", "prod").out)["project"] == {"name": "shop"}


def test_show_hides_what_looks_like_a_secret(call: Call, folder: Path) -> None:
    put(folder, stagecraft=f"{SOUND}terraform: {{db_password: hunter2}}\n")
    for more in ((), ("--json",), ("--origin",)):
        said = call("config", "show", "--effective", "--env", "prod", *more)
        assert said.code == 0
        assert "hunter2" not in said.out
        assert "***" in said.out


def test_show_needs_an_environment_and_a_sound_file(call: Call, folder: Path) -> None:
    put(folder, stagecraft=SOUND)
    assert "environment-required" in call("config", "show").err
    put(folder, stagecraft="project: {name: A}\n")
    assert "config-invalid" in call("config", "show", "--env", "prod").err


def test_schema_prints_one_document(call: Call) -> None:
    said = call("config", "schema", "descriptor")
    assert (said.code, json.loads(said.out)["additionalProperties"]) == (
        0,
        {"$ref": "#/$defs/ModeSection"},
    )
    said = call("config", "schema", "descripter")
    assert said.code == 1
    assert "schema-unknown" in said.err
    assert "allowed: controller, descriptor, stagecraft" in said.err
