"""The part of JSON Schema that our own schemas use, so that tests can tell what an editor would refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gitops.config.plain import is_list, is_mapping

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "object": (dict,),
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
_KNOWN = {
    "$defs", "$ref", "$schema", "additionalProperties", "anyOf", "const", "default", "description", "enum",
    "examples", "exclusiveMinimum", "items", "maxLength", "maximum", "minItems", "minLength", "minProperties",
    "minimum", "pattern", "patternProperties", "properties", "propertyNames", "required", "title", "type",
}  # fmt: skip


Schema = Mapping[str, Any]


def refused(schema: Schema, value: object) -> list[str]:
    """Where `value` breaks `schema`, as dotted keys; a keyword that is not known here is an error."""
    return sorted(set(_Check(schema).broken(schema, value, "")))


class _Check:
    """One schema with its definitions."""

    def __init__(self, root: Schema) -> None:
        self._definitions: Schema = root.get("$defs", {})

    def broken(self, schema: Schema | bool, value: object, at: str) -> Iterator[str]:  # noqa: FBT001  # a schema may be a boolean
        """The places below `at`."""
        if isinstance(schema, bool):
            yield from () if schema else (at,)
            return
        assert set(schema) <= _KNOWN, set(schema) - _KNOWN
        if "$ref" in schema:
            yield from self.broken(self._definitions[schema["$ref"].rpartition("/")[2]], value, at)
        yield from self._alternatives(schema, value, at)
        if not _fits(schema, value):
            yield at
        if is_mapping(value):
            yield from self._mapping(schema, value, at)
        elif is_list(value):
            for position, item in enumerate(value):
                yield from self.broken(schema.get("items", True), item, f"{at}[{position}]")

    def _alternatives(self, schema: Schema, value: object, at: str) -> Iterator[str]:
        ways = [list(self.broken(way, value, at)) for way in schema.get("anyOf", ())]
        if ways and all(ways):
            yield from min(ways, key=lambda way: (way == [at], len(way)))

    def _mapping(self, schema: Schema, value: dict[str, Any], at: str) -> Iterator[str]:
        yield from (_below(at, name) for name in schema.get("required", ()) if name not in value)
        for name, inner in value.items():
            below = _below(at, name)
            yield from self.broken(schema.get("propertyNames", True), name, below)
            patterns: dict[str, Schema] = schema.get("patternProperties", {})
            ways = [way for text, way in patterns.items() if re.search(text, name)]
            ways += [schema["properties"][name]] if name in schema.get("properties", {}) else []
            for way in ways or [schema.get("additionalProperties", True)]:
                yield from self.broken(way, inner, below)


def _fits(schema: Schema, value: object) -> bool:
    """Whether a value keeps the rules that speak of nothing below it."""
    if "type" in schema and not _is_a(schema["type"], value):
        return False
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return False
    if isinstance(value, str):
        size = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        return bool(size and re.search(schema.get("pattern", ""), value))
    if is_mapping(value):
        return bool(len(value) >= schema.get("minProperties", 0))
    if is_list(value):
        return bool(len(value) >= schema.get("minItems", 0))
    return not isinstance(value, (int, float)) or _in_range(schema, value)


def _in_range(schema: Schema, value: float) -> bool:
    low, high, above = schema.get("minimum"), schema.get("maximum"), schema.get("exclusiveMinimum")
    return (
        (low is None or value >= low) and (high is None or value <= high) and (above is None or value > above)
    )


def _is_a(kind: str, value: object) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])


def _below(at: str, name: str) -> str:
    return f"{at}.{name}".lstrip(".")
