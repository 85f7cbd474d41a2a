"""JSON Schemas for editors: what they take and refuse is what the controller takes and refuses."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from events.kernel.errors import UserError
from gitops.config.controller import ControllerFile
from gitops.config.document import Document
from gitops.config.jsonschemas import SCHEMA_UNKNOWN, SCHEMAS, json_schema
from gitops.config.models import StagecraftFile
from gitops.config.plain import is_list, is_mapping
from gitops.config.schema import parse
from tests.support.json_schemas import refused
from tests.unit.gitops.examples import MODELS, example


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_names_its_dialect_and_is_the_same_each_time(name: str) -> None:
    made = json_schema(name)
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert str(made) == str(json_schema(name))


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError) as caught:
        json_schema("stagecraf")
    assert caught.value.code == SCHEMA_UNKNOWN
    assert "did you mean 'stagecraft'? (allowed: controller, descriptor, stagecraft)" in caught.value.message


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_example_is_taken(name: str) -> None:
    assert refused(json_schema(name), example(name).data) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_with_a_fixed_name_is_described(name: str) -> None:
    made = json_schema(name)
    sections = [made, *made["$defs"].values()]
    without = [
        f"{section.get('description')}: {key}"
        for section in sections
        for key, said in section.get("properties", {}).items()
        if "description" not in said and "$ref" not in said
    ]
    assert without == []


def spoiled(data: Any) -> list[tuple[str, Any]]:  # noqa: ANN401  # plain data
    """The data with a key too many in each of its mappings, one at a time, and where it was put."""
    return [(at, _put(data, path)) for at, path in _mappings(data, "", ())]


def _mappings(value: object, at: str, path: tuple[Any, ...]) -> list[tuple[str, tuple[Any, ...]]]:
    found: list[tuple[str, tuple[Any, ...]]] = []
    if is_mapping(value):
        found.append((at, path))
        for name, below in value.items():
            found += _mappings(below, f"{at}.{name}".lstrip("."), (*path, name))
    elif is_list(value):
        for position, below in enumerate(value):
            found += _mappings(below, f"{at}[{position}]", (*path, position))
    return found


def _put(data: Any, path: tuple[Any, ...]) -> Any:  # noqa: ANN401  # plain data
    made = copy.deepcopy(data)
    at = made
    for part in path:
        at = at[part]
    at["Not A Key"] = None
    return made


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_key_too_many_is_refused_by_both_or_by_none(name: str) -> None:
    schema, document = json_schema(name), example(name)
    both = 0
    for at, data in spoiled(document.data):
        try:
            parse(Document(file="f", data=data), MODELS[name][1])
            controller = False
        except UserError:
            controller = True
        assert bool(refused(schema, data)) == controller, at
        both += controller
    assert both > 10


@pytest.mark.parametrize(
    "data",
    [
        {"project": {"name": "A"}},
        {"project": {}},
        {"project": {"name": "a", "registry": "https://x"}},
        {"project": {"name": "a"}, "hosts": {}},
        {"project": {"name": "a"}, "hosts": {"app": []}},
        {"project": {"name": "a"}, "services": {"web": {"gate": {"settle": 2}}}},
        {"project": {"name": "a"}, "services": {"web": {"gate": {"settle": "two"}}}},
        {"project": {"name": "a"}, "environments": {"prod": {"version": 1}}},
        {"project": {"name": "a"}, "environments": {"prod": {"db_port_publish": "x"}}},
        {"project": {"name": "a"}, "environments": {"prod": {"web": {"mode": "both"}}}},
        {"project": {"name": "a"}, "environments": {"prod": {"web": {"url": "http://x"}}}},
        {"project": {"name": "a"}, "network": {"tailscale": {}}},
    ],
)
def test_what_the_controller_refuses_an_editor_refuses_too(data: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        parse(Document(file="f", data=data), StagecraftFile)
    assert refused(json_schema("stagecraft"), data)


def test_empty_sections_are_taken_by_both() -> None:
    data: dict[str, Any] = {"project": {"name": "a"}, "services": None, "environments": {"prod": None}}
    assert refused(json_schema("stagecraft"), data) == []
    assert parse(Document(file="f", data=data), StagecraftFile).environments["prod"].version is None
    assert refused(json_schema("controller"), {"poll": None}) == []
    assert parse(Document(file="f", data={"poll": None}), ControllerFile) == ControllerFile()
