"""What one environment gets, as a project file again, with the origin of each value."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gitops.config.load import load
from gitops.effective import DEFAULT, Effective, effective
from gitops.source.worktree import WorkTree
from tests.unit.gitops.examples import FULL
from tests.unit.gitops.trees import tree_of

PROJECT = """\
project: {name: hello}
services:
  web:
    role: app
    gate: {deadline: 1m}
environments:
  prod:
    gate: {settle: 5s}
    services: {web: {gate: {deadline: 90s}}, tool: }
    web: {mode: container}
    data_volume: data
"""


def shown(folder: Path, content: str, *, defaults: bool = True, descriptor: str | None = None) -> Effective:
    files = {"stagecraft.yml": content}
    if descriptor is not None:
        files["environments/prod.yml"] = descriptor
    return effective(load(tree_of(folder, files), "stagecraft.yml", "prod"), defaults=defaults)


def test_overlays_and_defaults_are_in_the_form_of_a_project_file(tmp_path: Path) -> None:
    assert shown(tmp_path, PROJECT).values == {
        "project": {"name": "hello"},
        "hosts": {"app": ["local"]},
        "services": {
            "tool": {"role": "app", "gate": {"settle": "5s"}},
            "web": {"role": "app", "gate": {"settle": "5s", "deadline": "1m30s"}},
        },
        "environments": {
            "prod": {
                "compose_project": "hello-prod",
                "gate": {"settle": "5s"},
                "web": {"mode": "container"},
                "data_volume": "data",
            }
        },
    }


def test_each_value_has_its_origin(tmp_path: Path) -> None:
    origins = {".".join(map(str, key)): place for key, place in shown(tmp_path, PROJECT).origins.items()}
    assert origins == {
        "project.name": "stagecraft.yml:1:11",
        "hosts.app": DEFAULT,
        "services.tool.role": DEFAULT,
        "services.tool.gate.settle": "stagecraft.yml:8:12",
        "services.web.role": "stagecraft.yml:4:5",
        "services.web.gate.settle": "stagecraft.yml:8:12",
        "services.web.gate.deadline": "stagecraft.yml:9:29",
        "environments.prod.compose_project": DEFAULT,
        "environments.prod.gate.settle": "stagecraft.yml:8:12",
        "environments.prod.web.mode": "stagecraft.yml:10:11",
        "environments.prod.data_volume": "stagecraft.yml:11:5",
    }


def test_what_stands_in_a_descriptor_has_its_place_there(tmp_path: Path) -> None:
    made = shown(tmp_path, PROJECT, descriptor="hosts: {app: [h1]}\nversion: v1\n")
    assert made.origins["hosts", "app"] == "environments/prod.yml:1:9"
    assert made.origins["environments", "prod", "version"] == "environments/prod.yml:2:1"
    assert made.values["services"]["web"]["gate"] == {"settle": "2s", "deadline": "1m"}
    assert "data_volume" not in made.values["environments"]["prod"]


def test_without_defaults_only_what_is_written_is_left(tmp_path: Path) -> None:
    made = shown(tmp_path, "project: {name: a}\nenvironments: {prod: }\n", defaults=False)
    assert made.values == {"project": {"name": "a"}, "environments": {"prod": {}}}
    assert DEFAULT not in made.origins.values()


@pytest.mark.parametrize("environment", ["dev", "prod", "staging"])
def test_the_effective_configuration_loads_again_and_is_its_own(tmp_path: Path, environment: str) -> None:
    once = effective(load(WorkTree(FULL), "stagecraft.yml", environment)).values
    tree = tree_of(tmp_path, {"stagecraft.yml": yaml.safe_dump(once)})
    assert effective(load(tree, "stagecraft.yml", environment)).values == once


def test_values_under_secret_names_are_hidden(tmp_path: Path) -> None:
    content = (
        "project: {name: a}\nenvironments: {prod: }\n"
        "ci: {provider: github, github: {token: hunter2, token_env: CI_TOKEN, keys: [{password: hunter3}]}}\n"
        "terraform: {api_key: hunter4, secrets: [hunter5], secret_file: path}\n"
    )
    made = shown(tmp_path, content)
    assert "hunter" not in str(made)
    kept = (made.values["ci"]["github"]["token_env"], made.values["terraform"]["secret_file"])
    assert kept == ("CI_TOKEN", "path")
