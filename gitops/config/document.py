"""A configuration file as plain data, with the position of every key and list item."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from gitops.config.faults import ConfigInvalidError, Fault, KeyPath
from gitops.findings import Finding, FindingCode
from gitops.source.paths import shown
from gitops.yamlnodes import (
    Mark,
    YamlFaultError,
    compose_documents,
    items_of,
    mapping_items,
    mark_of,
    scalar_value,
)

MAX_CONFIG_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One parsed file; a mapping, empty when the file is."""

    file: str
    data: dict[str, Any]
    marks: dict[KeyPath, Mark] = field(default_factory=dict[KeyPath, Mark])

    def mark_at(self, key: KeyPath) -> Mark | None:
        """Where `key` stands, or the nearest key above it that is in the file."""
        at = key
        while at and at not in self.marks:
            at = at[:-1]
        return self.marks.get(at)

    def fault(self, key: KeyPath, message: str, code: FindingCode = FindingCode.VALUE_INVALID) -> Fault:
        """A broken rule at `key`, or at the nearest key above it that is in the file."""
        return Fault(file=self.file, message=message, code=code, key=key, mark=self.mark_at(key))

    def finding(self, code: FindingCode, key: KeyPath, message: str) -> Finding:
        """What was found at `key`."""
        return self.fault(key, message, code).finding


def load_document(file: str, content: bytes) -> Document:
    """Parse one YAML document. Raises UserError `config-invalid`."""
    builder = _Builder(file)
    try:
        documents = compose_documents(content)
        data: Any = builder.build(documents[0], ()) if documents else None
    except YamlFaultError as error:
        message = f"not a configuration file: {error.message}"
        fault = Fault(file=file, message=message, code=FindingCode.YAML_INVALID, mark=error.mark)
        raise ConfigInvalidError([fault]) from error
    if len(documents) > 1:
        raise ConfigInvalidError([_misshapen(file, "it holds a second document", mark_of(documents[1]))])
    if builder.faults:
        raise ConfigInvalidError(builder.faults)
    if data is not None and not isinstance(data, dict):
        raise ConfigInvalidError([_misshapen(file, "it must hold keys and values", Mark(line=1, column=1))])
    return Document(file=file, data=cast("dict[str, Any]", data or {}), marks=builder.marks)


def _misshapen(file: str, message: str, mark: Mark) -> Fault:
    return Fault(file=file, message=message, code=FindingCode.WRONG_TYPE, mark=mark)


class _Builder:
    """Turns nodes into data and notes where each came from."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.marks: dict[KeyPath, Mark] = {}
        self.faults: list[Fault] = []

    def build(self, node: Node, key: KeyPath) -> Any:  # noqa: ANN401  # YAML holds any plain type
        """The data of `node`, which stands at `key`."""
        if isinstance(node, MappingNode):
            return self._mapping(node, key)
        if isinstance(node, SequenceNode):
            items = list(enumerate(items_of(node)))
            self.marks.update({(*key, position): mark_of(item) for position, item in items})
            return [self.build(item, (*key, position)) for position, item in items]
        return scalar_value(node) if isinstance(node, ScalarNode) else None

    def _mapping(self, node: MappingNode, key: KeyPath) -> dict[str, Any]:
        self._check_duplicates(node, key)
        data: dict[str, Any] = {}
        for name_node, value in mapping_items(node):
            name = scalar_value(name_node)
            at = (*key, str(name))
            if not isinstance(name, str):
                message = f"the key {shown(str(name))!r} is not text; put it in quotes"
                self._broken(at, message, FindingCode.WRONG_TYPE, name_node)
                continue
            self.marks[at] = mark_of(name_node)
            data[name] = self.build(value, at)
        return data

    def _check_duplicates(self, node: MappingNode, key: KeyPath) -> None:
        """A key given twice, before `<<` is merged: a merged key may be given again."""
        seen: dict[str, Mark] = {}
        for name_node, _ in node.value:
            if not isinstance(name_node, ScalarNode) or name_node.tag.endswith(":merge"):
                continue
            name = name_node.value
            if name in seen:
                message = f"{shown(name)!r} is given twice, first in line {seen[name].line}"
                self._broken((*key, name), message, FindingCode.DUPLICATE_KEY, name_node)
            seen.setdefault(name, mark_of(name_node))

    def _broken(self, key: KeyPath, message: str, code: FindingCode, node: Node) -> None:
        self.faults.append(Fault(file=self._file, message=message, code=code, key=key, mark=mark_of(node)))
