"""Examples of stored data, made from the fields of a class: always the same ones."""

from __future__ import annotations

import types
from datetime import UTC, datetime
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

_MOMENT = datetime(2026, 11, 21, 3, 4, 5, tzinfo=UTC)


def whole_example(model: type[BaseModel]) -> dict[str, Any]:
    """Data with each field, the optional ones too, as an event of this class is stored."""
    values = {name: _value(field.annotation, name) for name, field in model.model_fields.items()}
    return model.model_validate(values).model_dump(mode="json")


def least_example(model: type[BaseModel]) -> dict[str, Any]:
    """Data with the fields that must be there."""
    whole = whole_example(model)
    return {name: whole[name] for name, field in model.model_fields.items() if field.is_required()}


def _value(annotation: Any, name: str) -> object:  # noqa: ANN401  # whatever stands behind the colon
    """A value of a type; the last word of a choice, because the first one is often the default."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return inner[-1]
    if origin in {Union, types.UnionType}:
        return _value(next(one for one in inner if one is not type(None)), name)
    if origin is tuple:
        return (_value(inner[0], name),)
    if origin is dict:
        return {f"{name}-key": _value(inner[1], name)}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return whole_example(annotation)
    return {str: name, int: 7, float: 1.5, bool: True, datetime: _MOMENT}[annotation]
