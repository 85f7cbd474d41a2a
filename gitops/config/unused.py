"""Keys that are checked and that nothing reads yet.

Which those are is marked in the schema (`gitops.config.section.UNUSED`); a mark counts for all that stands
below it. Only what is in the file is reported: a default asks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from gitops.config.document import Document
from gitops.config.faults import KeyPath, dotted
from gitops.config.plain import is_list, is_mapping
from gitops.config.shape import Shape, parts_of
from gitops.findings import Finding, FindingCode

UNUSED_MESSAGE = "it is checked and nothing uses it yet"
_MAX_NAMED = 12


def unused_roots(document: Document, model: type[BaseModel]) -> list[KeyPath]:
    """The highest unused keys, in the order of the file."""
    return list(_roots(model, document.data))


def unused_keys(document: Document, model: type[BaseModel]) -> list[Finding]:
    """One finding for each unused value; a list of plain values is one."""
    return [
        document.finding(FindingCode.UNUSED_KEY, key, UNUSED_MESSAGE)
        for root in unused_roots(document, model)
        for key in leaf_keys(_value(document.data, root), root)
    ]


def unused_summary(document: Document, roots: list[KeyPath]) -> list[Finding]:
    """One finding for all of `roots`, none when there are none."""
    if not roots:
        return []
    named = ", ".join(dotted(root) for root in roots[:_MAX_NAMED])
    more = f" and {len(roots) - _MAX_NAMED} more" if len(roots) > _MAX_NAMED else ""
    message = f"nothing uses these keys yet: {named}{more}; `stagecraft config check` lists all"
    return [document.finding(FindingCode.UNUSED_KEY, roots[0], message)]


def _roots(shape: Shape, value: object, key: KeyPath = ()) -> Iterator[KeyPath]:
    for part in parts_of(shape, value, key):
        if part.unused:
            yield part.key
        else:
            yield from _roots(part.shape, part.value, part.key)


def _value(data: Any, key: KeyPath) -> Any:  # noqa: ANN401  # whatever YAML gave
    for part in key:
        data = data[part]
    return data


def leaf_keys(value: object, key: KeyPath) -> Iterator[KeyPath]:
    """What has nothing below it; a list of plain values is one."""
    inner: list[tuple[str | int, Any]] = []
    if is_mapping(value):
        inner = list(value.items())
    elif is_list(value) and any(is_mapping(item) or is_list(item) for item in value):
        inner = list(enumerate(value))
    if not inner:
        yield key
    for name, below in inner:
        yield from leaf_keys(below, (*key, name))
