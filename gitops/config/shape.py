"""Which part of a schema speaks of which part of a file.

Models nest as `Section`, `dict[…, Section]` and `list[Section]`, each perhaps optional. These functions walk
such types beside plain data; checking, unused keys and the effective configuration stand on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gitops.config.faults import KeyPath
from gitops.config.plain import is_list, is_mapping
from gitops.config.section import Gathering, Unused, keys_of

Shape = Any  # a type as it stands in an annotation; types have no common type


class Part(NamedTuple):
    """A key of a file and what the schema says of it."""

    key: KeyPath
    value: Any
    shape: Shape
    unused: bool


def parts_of(shape: Shape, value: object, key: KeyPath = ()) -> Iterator[Part]:
    """What stands directly below `key`; nothing for a plain value and for keys that no schema has."""
    section, mapping, items = section_in(shape), mapping_in(shape), list_in(shape)
    if is_mapping(value):
        for name, inner in value.items():
            at = (*key, name)
            if section is not None:
                found = field_at(section, name, value)
                if found is not None:
                    unused = any(isinstance(mark, Unused) for mark in found.info.metadata)
                    yield Part(at, inner, found.shape, unused)
            elif mapping is not None:
                yield Part(at, inner, mapping, unused=False)
    elif is_list(value) and items is not None:
        for position, inner in enumerate(value):
            yield Part((*key, position), inner, items, unused=False)


class Found(NamedTuple):
    """The field that takes a key, and the type of the key's value."""

    info: FieldInfo
    shape: Shape


def field_at(section: type[BaseModel], name: str, data: dict[str, Any]) -> Found | None:
    """The field of `section` that takes the key `name` of `data`."""
    keys = keys_of(section)
    if name in keys:
        info = section.model_fields[keys[name]]
        return Found(info, info.annotation)
    group = section.group_of(name, data[name], data) if issubclass(section, Gathering) else None
    if group is None:
        return None
    info = next(info for info in section.model_fields.values() if info.alias == group)
    return Found(info, mapping_in(info.annotation))


def keys_at(model: type[BaseModel], key: KeyPath, data: Any) -> list[str]:  # noqa: ANN401  # whatever YAML gave
    """The fixed keys that may stand at `key`."""
    shape: Shape = model
    for part in key:
        shape = next((found.shape for found in parts_of(shape, data) if found.key == (part,)), None)
        data = data[part]
    section = section_in(shape)
    return list(keys_of(section)) if section is not None else []


def section_in(shape: Shape) -> type[BaseModel] | None:
    """The section in `Section`, `Section | None` and `Annotated[Section, …]`."""
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return shape
    return next((found for part in _alternatives(shape) if (found := section_in(part)) is not None), None)


def mapping_in(shape: Shape) -> Shape | None:
    """The type of the values of the `dict[…]` inside."""
    if _origin(shape) is dict:
        return get_args(shape)[1]
    return next((found for part in _alternatives(shape) if (found := mapping_in(part)) is not None), None)


def list_in(shape: Shape) -> Shape | None:
    """The type of the items of the `list[…]` inside."""
    if _origin(shape) is list:
        return get_args(shape)[0]
    return next((found for part in _alternatives(shape) if (found := list_in(part)) is not None), None)


def _alternatives(shape: Shape) -> tuple[Shape, ...]:
    """What an annotation or a union is made of."""
    origin = _origin(shape)
    if origin in {dict, list, None}:
        return ()
    return get_args(shape)[:1] if origin is Annotated else get_args(shape)


def _origin(shape: Shape) -> Any:  # noqa: ANN401  # types have no common type
    """`dict` of `dict[str, int]`, None of a plain type."""
    return get_origin(shape)
