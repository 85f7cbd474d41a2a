"""From plain data to the models, every broken rule as a fault with its position.

Pydantic's own words are kept where they are plain; a value never stands in a message, because it may be a
secret that went into the wrong place. A near miss of one of a few allowed values is answered with that value.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gitops.config.document import Document
from gitops.config.faults import ConfigInvalidError, Fault, KeyPath, allowed, meant, unknown
from gitops.config.shape import keys_at, keys_in
from gitops.findings import FindingCode
from gitops.source.paths import shown

_PLAIN = {
    "string_type": "it must be text; put a number, a date or yes/no in quotes",
    "model_type": "it must hold keys and values",
    "dict_type": "it must hold keys and values",
    "list_type": "it must be a list",
    "bool_type": "it must be a boolean: true or false",
    "int_type": "it must be a whole number",
    "too_short": "it must not be empty",
    "string_too_short": "it must not be empty",
}
_TYPES = frozenset({"string_type", "model_type", "dict_type", "list_type", "bool_type", "int_type"})
_MAX_BROKEN = 500  # one by one; a file that breaks more is no configuration
_QUOTED = re.compile(r"'([^']*)'")

_Model = TypeVar("_Model", bound=BaseModel)


class Broken(NamedTuple):
    """A rule that data breaks."""

    key: KeyPath
    message: str
    code: FindingCode


def parse(document: Document, model: type[_Model]) -> _Model:
    """The document as `model`. Raises UserError `config-invalid` with all faults."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise ConfigInvalidError(faults_of(document, model, error)) from error


def faults_of(document: Document, model: type[BaseModel], error: ValidationError) -> list[Fault]:
    """The broken rules, each with its position."""
    return [
        document.fault(one.key, one.message, one.code) for one in broken_rules(model, document.data, error)
    ]


def broken_rules(model: type[BaseModel], data: Any, error: ValidationError) -> list[Broken]:  # noqa: ANN401  # whatever YAML gave
    """What `error` says of `data`, in our words."""
    errors = error.errors(include_url=False)
    broken = list(dict.fromkeys(_broken(model, data, found) for found in errors[:_MAX_BROKEN]))
    if len(errors) > _MAX_BROKEN:
        more = f"{len(errors) - _MAX_BROKEN} more rules are broken"
        broken.append(Broken((), more, FindingCode.VALUE_INVALID))
    return broken


def _broken(model: type[BaseModel], data: Any, error: ErrorDetails) -> Broken:  # noqa: ANN401  # whatever YAML gave
    kind = error["type"]
    key = _key(data, error)
    if kind == "missing":
        return Broken(key, f"{key[-1]!r} is missing", FindingCode.MISSING_KEY)
    if kind == "extra_forbidden":
        message = unknown("key", str(key[-1]), keys_at(model, key[:-1], data))
        return Broken(key, message, FindingCode.UNKNOWN_KEY)
    code = FindingCode.WRONG_TYPE if kind in _TYPES else FindingCode.VALUE_INVALID
    if kind == "value_error":
        return Broken(key, str(error.get("ctx", {}).get("error", error["msg"])), code)
    if kind == "literal_error":
        return Broken(key, _choice(error), code)
    return Broken(key, _PLAIN.get(kind) or shown(error["msg"][:1].lower() + error["msg"][1:]), code)


def _key(data: Any, error: ErrorDetails) -> KeyPath:  # noqa: ANN401  # whatever YAML gave
    """Where it is in the file: what pydantic adds of its own (`[key]`, groups, alternatives) left out."""
    key: list[str | int] = []
    at: Any = data
    for part in error["loc"]:
        if part in keys_in(at):
            at = at[part]
            key.append(part)
    return (*key, error["loc"][-1]) if error["type"] == "missing" else tuple(key)


def _choice(error: ErrorDetails) -> str:
    """The values that are allowed, and the one that was meant."""
    names = _QUOTED.findall(str(error.get("ctx", {}).get("expected", "")))
    hint = meant(str(error["input"]), names)
    return f"unknown value{hint} ({allowed(names)})"
