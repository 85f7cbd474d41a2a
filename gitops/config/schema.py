"""From plain data to the models, every broken rule as a fault with its position.

Pydantic's own words are kept where they are plain; a value never stands in a message, because it may be a
secret that went into the wrong place.
"""

from __future__ import annotations

from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gitops.config.document import Document
from gitops.config.faults import Fault, KeyPath, config_invalid, unknown
from gitops.source.paths import shown

_PLAIN = {
    "string_type": "it must be text; put a number, a date or yes/no in quotes",
    "model_type": "it must hold keys and values",
    "dict_type": "it must hold keys and values",
    "list_type": "it must be a list",
    "too_short": "it must not be empty",
}

_Model = TypeVar("_Model", bound=BaseModel)


def parse(document: Document, model: type[_Model]) -> _Model:
    """The document as `model`. Raises UserError `config-invalid` with all faults."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise config_invalid([_fault(document, model, found) for found in error.errors()]) from error


def _fault(document: Document, model: type[BaseModel], error: ErrorDetails) -> Fault:
    key = tuple(part for part in error["loc"] if part != "[key]")
    return document.fault(key, _message(model, key, error))


def _message(model: type[BaseModel], key: KeyPath, error: ErrorDetails) -> str:
    """What the rule is, without the value that broke it."""
    kind = error["type"]
    if kind == "missing":
        return f"{key[-1]!r} is missing"
    if kind == "extra_forbidden":
        return unknown("key", shown(str(key[-1])), _fields(model, key[:-1]))
    if kind == "value_error":
        return str(error.get("ctx", {}).get("error", error["msg"]))
    return _PLAIN.get(kind) or shown(error["msg"][:1].lower() + error["msg"][1:])


def _fields(model: type[BaseModel], key: KeyPath) -> list[str]:
    """The keys that may stand at `key`."""
    at: Any = model
    for part in key:
        section = _section(at)
        at = section.model_fields[str(part)].annotation if section else get_args(_mapping(at))[1]
    section = _section(at)
    return list(section.model_fields) if section else []


def _section(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401  # annotations have no common type
    """The section in `Section`, `Section | None` and `Annotated[Section, …]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is dict:
        return None
    return next((found for part in get_args(annotation) if (found := _section(part)) is not None), None)


def _mapping(annotation: Any) -> Any:  # noqa: ANN401  # annotations have no common type
    """The `dict[…]` inside an annotation."""
    if get_origin(annotation) is dict:
        return annotation
    return next((found for part in get_args(annotation) if (found := _mapping(part)) is not None), None)
