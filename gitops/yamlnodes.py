"""YAML from a repository as nodes with positions, within bounds.

Bounds come before the work they bound: the event stream is counted first (no recursion, no aliases
followed), then the composed graph is weighed with each shared node computed once, so a file of a kilobyte
that would expand to billions of nodes costs a millisecond. Only then is anything built. Positions are
1-based lines and columns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from events.kernel.redact import REDACT, printable

MAX_NODES = 100_000
MAX_DEPTH = 64
_NULL = "tag:yaml.org,2002:null"
_CORE_TAGS = frozenset(
    {"!", _NULL, *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "map", "seq"))}
)
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A position in a file, both numbers 1-based."""

    line: int
    column: int


class YamlFaultError(Exception):
    """The text is not YAML that is taken; the message says why. Callers turn it into an error with a file."""

    def __init__(self, message: str, mark: Mark | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.mark = mark


def compose_documents(content: bytes, *, tags: Collection[str] = ()) -> list[Node]:
    """The root node of each document of a file; `tags` are the tags of its own it may use, as in `!reset`.

    Raises YamlFaultError.
    """
    return measured_documents(content, tags=tags)[0]


def measured_documents(content: bytes, *, tags: Collection[str] = ()) -> tuple[list[Node], int]:
    """As `compose_documents`, with the number of values that they expand to. Raises YamlFaultError."""
    try:
        _check_events(content, frozenset(tags))
        documents = list(yaml.compose_all(content, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        _fail(error)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise YamlFaultError(_safe(str(error).splitlines()[0])) from error
    values = sum(_weight(document, {}, set()) for document in documents)
    if values > MAX_NODES:
        raise YamlFaultError(f"its aliases expand to more than {MAX_NODES} values")
    return documents, values


def mapping_items(node: MappingNode) -> list[tuple[ScalarNode, Node]]:
    """Keys and values with `<<` merged in, each key once: what a mapping says itself wins.

    Raises YamlFaultError for a key that is not a plain value.
    """
    try:
        SafeConstructor().flatten_mapping(node)
    except ConstructorError as error:
        _fail(error)
    items: dict[str, tuple[ScalarNode, Node]] = {}
    for key, value in node.value:
        if not isinstance(key, ScalarNode):
            raise YamlFaultError("a key must be a plain value", mark_of(key))
        items[key.value] = (key, value)
    return list(items.values())


def scalar_value(node: ScalarNode) -> Any:  # noqa: ANN401  # the value of a YAML scalar is of any plain type
    """The Python value of a plain value. Raises YamlFaultError."""
    try:
        constructor: Any = SafeConstructor()  # its stub has no types
        return constructor.construct_object(node)
    except (ValueError, LookupError, ConstructorError) as error:  # a tag's promise is not checked before
        raise YamlFaultError(f"{_safe(node.value)!r} is not a value", mark_of(node)) from error


def is_null(node: Node) -> bool:
    """Whether nothing was written."""
    return node.tag == _NULL


def mark_of(node: Node) -> Mark:
    """Where a node starts."""
    return _mark(node)


def _check_events(content: bytes, tags: frozenset[str]) -> None:
    """Refuse too many values, too deep nesting and foreign tags, at a cost linear in the file."""
    depth = count = 0
    taken = _CORE_TAGS | tags
    for event in yaml.parse(content, Loader=_LOADER):
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        tag = event.tag if isinstance(event, (CollectionStartEvent, ScalarEvent)) else None
        if tag is not None and tag not in taken:
            raise YamlFaultError(f"the tag {_safe(tag)!r} is not taken", _mark(event))
        count += isinstance(event, (CollectionStartEvent, ScalarEvent, AliasEvent))
        if depth > MAX_DEPTH:
            raise YamlFaultError(f"it is nested deeper than {MAX_DEPTH} levels", _mark(event))
        if count > MAX_NODES:
            raise YamlFaultError(f"it has more than {MAX_NODES} values", _mark(event))


def _weight(node: Node, known: dict[int, int], open_nodes: set[int]) -> int:
    """Values that the node expands to. Raises YamlFaultError for a node that contains itself."""
    name = id(node)
    if name in known:
        return known[name]
    if name in open_nodes:
        raise YamlFaultError("an alias contains itself", mark_of(node))
    open_nodes.add(name)
    weight = 1 + sum(_weight(child, known, open_nodes) for child in _children(node))
    open_nodes.discard(name)
    known[name] = weight
    return weight


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, SequenceNode):
        yield from node.value


def items_of(node: SequenceNode) -> list[Node]:
    """The items of a list."""
    return list(node.value)


def _mark(place: Node | yaml.Event) -> Mark:
    """Where a node or an event starts; only events made by hand have no position."""
    start = place.start_mark
    return Mark(line=start.line + 1, column=start.column + 1) if start is not None else Mark(line=1, column=1)


def _fail(error: yaml.MarkedYAMLError) -> NoReturn:
    """Raise the parser's words with its position."""
    at = error.problem_mark or error.context_mark
    mark = Mark(line=at.line + 1, column=at.column + 1) if at is not None else None
    raise YamlFaultError(_safe(error.problem or error.context or "not YAML"), mark) from error


def _safe(text: str) -> str:
    return REDACT(printable(text))[:200]
