"""The keys of the Compose specification, from the schema that the pinned client carries, and who uses them.

The schema is read out of the client's program, so a new client brings its new keys along and the test that
looks for them in the corpus fails until they are there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml

from events.kernel.compose_client import compose_client
from tests.parity.apps import find_apps

_NAME = b'"$id": "compose_spec.json"'
_MOST_BYTES = 1024 * 1024  # of the schema
_PARTS = ("oneOf", "anyOf", "allOf")


@cache
def schema() -> dict[str, Any]:
    """The schema of the Compose files that the client takes. Raises ValueError when it carries none."""
    program = compose_client().resolve().read_bytes()
    start = program.rindex(b"{", 0, program.index(_NAME))
    text = program[start : start + _MOST_BYTES].decode(errors="replace")
    found: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
    return found


def all_keys() -> frozenset[str]:
    """Each key of the specification, by where the schema defines it: `network.ipam.driver`."""
    definitions: dict[str, Any] = schema()["$defs"]
    found = set(_keys(schema(), ""))
    for name, definition in definitions.items():
        found |= set(_keys(definition, name))
    return frozenset(found)


def _keys(part: Any, path: str) -> Iterator[str]:  # noqa: ANN401  # a part of a schema
    """The keys that a part defines itself, without what it refers to."""
    if not isinstance(part, dict):
        return
    node = cast("dict[str, Any]", part)
    for name, inner in node.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from _keys(inner, f"{path}.{name}")
    for below in _below(node):
        yield from _keys(below, path)
    for choice in _choices(node):
        yield from _keys(choice, path)


def _choices(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [choice for name in _PARTS for choice in node.get(name, ())]


def _below(node: dict[str, Any]) -> list[Any]:
    """The schemas of what a list or a mapping of free names holds."""
    return [node.get("items"), node.get("additionalProperties"), *node.get("patternProperties", {}).values()]


def used_keys(corpus: Path) -> frozenset[str]:
    """The keys that the Compose files of a folder use, named as in `all_keys`."""
    found: set[str] = set()
    for app in find_apps(corpus):
        for document in yaml.load_all((corpus / app.path).read_bytes(), Loader=_Loader):
            _walk(document, schema(), "", found)
    return frozenset(found)


def _walk(value: Any, part: Any, path: str, found: set[str]) -> None:  # noqa: ANN401  # any YAML, any schema
    if not isinstance(part, dict):
        return
    node = cast("dict[str, Any]", part)
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        _walk(value, schema()["$defs"][name], name, found)
    for choice in _choices(node):
        _walk(value, choice, path, found)
    if isinstance(value, list):
        for item in cast("list[object]", value):
            _walk(item, node.get("items"), path, found)
    elif isinstance(value, dict):
        properties: dict[str, Any] = node.get("properties", {})
        for name, inner in cast("dict[str, Any]", value).items():
            if name in properties:
                found.add(f"{path}.{name}")
                _walk(inner, properties[name], f"{path}.{name}", found)
                continue
            for below in _below(node):
                _walk(inner, below, path, found)


class _Loader(yaml.SafeLoader):
    """Takes Compose's own tags for what they stand on."""


def _plain(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:  # noqa: ANN401  # any YAML value
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return None


_Loader.add_multi_constructor("!", _plain)  # pyright: ignore[reportUnknownMemberType]  # its stub has no types
