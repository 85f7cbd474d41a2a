"""Tables of the reference pages: the keys of a configuration schema, with type, default and meaning."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gitops.config.section import Gathering, Unused


def configuration_tables(model: type[BaseModel], without: type[BaseModel] | None = None) -> Iterator[str]:
    """The keys that count, and apart those that are checked and that nothing uses yet."""
    rows = list(_schema_rows(model, "", without=without))
    yield table(_SCHEMA_HEADS, (row.cells for row in rows if not row.unused))
    if any(row.unused for row in rows):
        yield "Checked, and not used yet:"
        yield table(_SCHEMA_HEADS, (row.cells for row in rows if row.unused))


def schema_table(model: type[BaseModel]) -> Iterator[str]:
    """A table of a model's keys, nested ones dotted; nothing for a model without keys."""
    rows = list(_schema_rows(model, ""))
    if rows:
        yield table(_SCHEMA_HEADS, (row.cells for row in rows))


_SCHEMA_HEADS = ("key", "type", "default", "meaning")


class _Row(NamedTuple):
    cells: tuple[str, str, str, str]
    unused: bool


def _schema_rows(
    model: type[BaseModel], prefix: str, *, unused: bool = False, without: type[BaseModel] | None = None
) -> Iterator[_Row]:
    """A row for each key; the keys of `without` are left out."""
    for name, info in model.model_fields.items():
        shape, gathered = info.annotation, _gathered_key(model, info)
        if gathered is not None:
            shape = get_args(shape)[1]  # each key that the field takes has a value of its own
        key = f"{prefix}{gathered or info.alias or name}"
        here = unused or any(isinstance(mark, Unused) for mark in info.metadata)
        cells = (f"`{key}`", _type_text(shape), _default_text(info), info.description or "")
        yield _Row(cells, here)
        for path, nested in _nested_models(shape):
            if nested is not without:
                yield from _schema_rows(nested, f"{key}{path}.", unused=here, without=without)


def _gathered_key(model: type[BaseModel], info: FieldInfo) -> str | None:
    """How the keys that a field takes look, when the user chooses them."""
    if not issubclass(model, Gathering) or info.alias not in model.GATHERED:
        return None
    pattern = model.GATHERED[info.alias]
    return "<name>" if pattern is None else f"<name>_{info.alias.strip('[]')}"


def _nested_models(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:  # noqa: ANN401  # any type expression
    """The models inside a type, each with how a key goes on: `[]` in a list, `.<name>` in a mapping."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield "", annotation
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    step = "[]" if origin in _LISTS else ".<name>" if origin is dict else ""
    for argument in arguments[-1:] if step else arguments:
        for path, model in _nested_models(argument):
            yield step + path, model


_LISTS = (list, tuple, set, frozenset)
_TYPE_NAMES: dict[Any, str] = {
    bool: "true or false",
    dict: "mapping",
    float: "number",
    int: "integer",
    list: "list",
    str: "text",
    tuple: "list",
    NoneType: "nothing",
    Any: "anything",
    object: "anything",
}
_CONTAINERS: dict[Any, str] = {dict: "mapping of ", **dict.fromkeys(_LISTS, "list of ")}


def _type_text(annotation: Any) -> str:  # noqa: ANN401  # any type expression
    """A type in words: `text`, `list of text`, `"a" or "b"`, `mapping`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is Annotated:
        return _type_text(arguments[0])
    if arguments:
        inner = " or ".join(_type_text(argument) for argument in _speaking(origin, arguments))
        return f"{_CONTAINERS.get(origin, '')}{inner}"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "mapping"
    return _TYPE_NAMES.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _speaking(origin: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401  # any type expression
    """The arguments worth words: of a mapping the values, of a list its elements."""
    if origin is dict:
        return arguments[1:]
    return arguments[:1] if origin in _LISTS else arguments


def _default_text(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if isinstance(info.default, BaseModel):
        return ""  # its keys have rows of their own
    if isinstance(info.default, bool | int | float):
        return f"`{str(info.default).lower()}`"
    return f"`{info.default}`" if info.default and info.default is not PydanticUndefined else ""


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
