"""Rules of an environment as variables of its Compose files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gitops.config.load import Configuration, load
from gitops.rules import (
    NO_PORT_ADDRESS,
    env_file_in_tree,
    host_variable,
    mentions,
    rules_of,
    unused_rules,
    without_empty_ports,
)
from tests.unit.gitops.trees import tree_of


def configured(folder: Path, environment: str, *, at: str = "stagecraft.yml") -> Configuration:
    content = f"project: {{name: a}}\nenvironments:\n  prod: {environment}\n"
    return load(tree_of(folder, {at: content}), at, "prod")


def test_each_rule_is_a_variable_of_its_name(tmp_path: Path) -> None:
    rules = rules_of(
        configured(
            tmp_path,
            "{pg_volume: data, pg_init_scripts: ./init, pg_port_publish: '5433:5432', env_file: /etc/p/env}",
        )
    )
    assert rules.variables == {
        "PG_VOLUME": "data",
        "PG_INIT_SCRIPTS": "./init",
        "PG_PORT_PUBLISH": "5433:5432",
        "PLATFORM_ENV_FILE": "/etc/p/env",
    }
    assert rules.keys["PG_VOLUME"] == ("pg_volume",)
    assert rules.no_ports == frozenset()


def test_no_port_is_a_stand_in_only_where_the_variable_is_a_port_by_itself(tmp_path: Path) -> None:
    configuration = configured(tmp_path, "{pg_port_publish: '', web_port_publish: ''}")
    rules = rules_of(configuration, port_variables={"PG_PORT_PUBLISH"})
    assert rules.no_ports == {"PG_PORT_PUBLISH"}
    assert rules.variables["WEB_PORT_PUBLISH"] == ""
    assert rules.variables["PG_PORT_PUBLISH"].startswith(NO_PORT_ADDRESS)


def test_a_stand_in_leaves_nothing_behind(tmp_path: Path) -> None:
    rules = rules_of(configured(tmp_path, "{pg_port_publish: ''}"), port_variables={"PG_PORT_PUBLISH"})
    text = rules.variables["PG_PORT_PUBLISH"]
    gone, other = {"host_ip": NO_PORT_ADDRESS, "target": 1}, {"target": 80}
    document: dict[str, Any] = {
        "services": {
            "db": {"ports": [gone], "environment": {"PORT": text}, "command": ["--port", f"={text}"]},
            "web": {"ports": [other, gone]},
            "job": {"image": "x"},
        }
    }
    assert without_empty_ports(document, rules)["services"] == {
        "db": {"environment": {"PORT": ""}, "command": ["--port", "="]},
        "web": {"ports": [other]},
        "job": {"image": "x"},
    }


def test_a_rule_that_no_file_mentions_is_told_where_it_stands(tmp_path: Path) -> None:
    configuration = configured(tmp_path, "{pg_volume: data, b_volume: other, env_file: .env.x}")
    rules = rules_of(configuration)
    texts = [b"a: ${PG_VOLUME:-x}\n", b"b: ${B_VOLUMES}\n"]
    found = unused_rules(configuration, rules, texts=texts)
    assert [(one.key, one.line) for one in found] == [
        ("environments.prod.b_volume", 3),
        ("environments.prod.env_file", 3),
    ]
    assert len(unused_rules(configuration, rules, texts=texts, used={"PLATFORM_ENV_FILE"})) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("$A_VOLUME", True),
        ("${A_VOLUME}", True),
        ("${A_VOLUME:-x}", True),
        ("${A_VOLUME2}", False),
        ("A_VOLUME", False),
        ("${XA_VOLUME}", False),
    ],
)
def test_a_variable_is_mentioned_by_its_whole_name(text: str, *, said: bool) -> None:
    assert mentions("A_VOLUME", [text.encode()]) is said


def test_an_env_file_starts_where_the_project_does_and_one_of_the_host_is_not_in_the_tree(
    tmp_path: Path,
) -> None:
    inner = configured(tmp_path, "{env_file: ./env/prod.env}", at="app/stagecraft.yml")
    assert env_file_in_tree(inner) == "app/env/prod.env"
    assert env_file_in_tree(configured(tmp_path / "b", "{env_file: /etc/x}")) is None
    assert env_file_in_tree(configured(tmp_path / "c", "{}")) is None


@pytest.mark.parametrize(("service", "name"), [("db", "DB_HOST"), ("my-cache.v2", "MY_CACHE_V2_HOST")])
def test_the_name_of_a_host_is_a_variable_named_after_the_service(service: str, name: str) -> None:
    assert host_variable(service) == name
