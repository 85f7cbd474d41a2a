"""Which part of a schema speaks of which part of a file.

Models nest as `Section`, `dict[…, Section]` and `list[Section]`, each perhaps optional. These functions walk
such types beside plain data; checking, unused keys and the effective configuration stand on them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
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
    for name in keys_in(value):
        part = part_at(shape, value, name, key)
        if part is not None:
            yield part


def part_at(shape: Shape, value: Any, name: str | int, key: KeyPath = ()) -> Part | None:  # noqa: ANN401  # plain data
    """What stands at `name` directly below `key`; None when no schema has it."""
    at = (*key, name)
    if is_list(value):
        items = list_in(shape)
        return None if items is None else Part(at, value[int(name)], items, unused=False)
    section, mapping = section_in(shape), mapping_in(shape)
    if section is not None:
        found = field_at(section, str(name), value)
        return None if found is None else Part(at, value[name], found.shape, found.unused)
    return None if mapping is None else Part(at, value[name], mapping, unused=False)


def keys_in(value: object) -> Collection[str | int]:
    """The keys of a mapping, the positions of a list, nothing of a plain value."""
    if is_list(value):
        return range(len(value))
    return list(value) if is_mapping(value) else ()


class Found(NamedTuple):
    """The field that takes a key, and the type of the key's value."""

    info: FieldInfo
    shape: Shape

    @property
    def unused(self) -> bool:
        """Whether nothing reads the key yet."""
        return any(isinstance(mark, Unused) for mark in self.info.metadata)


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
    for name in key:
        part = part_at(shape, data, name)
        if part is None:
            return []
        shape, data = part.shape, part.value
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
