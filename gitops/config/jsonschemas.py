"""JSON Schemas of the files that a person writes, for editors; draft 2020-12.

They come from the same models that check the files. What a model says in code alone (two keys that exclude
each other, names that must exist elsewhere) an editor cannot know; `config check` says it.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from events.kernel.errors import UserError, error_code
from gitops.config.controller import ControllerFile
from gitops.config.faults import unknown
from gitops.config.models import EnvironmentSection, StagecraftFile
from gitops.config.plain import is_list, is_mapping

SCHEMA_UNKNOWN = error_code("schema-unknown", "No JSON Schema of that name is known.")

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MODELS: dict[str, tuple[type[BaseModel], str]] = {
    "controller": (ControllerFile, "controller.yml: the operator's settings"),
    "descriptor": (EnvironmentSection, "environments/NAME.yml: one environment"),
    "stagecraft": (StagecraftFile, "stagecraft.yml: a project"),
}
SCHEMAS = tuple(_MODELS)


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema `name`, the same bytes each time. Raises UserError `schema-unknown`."""
    if name not in _MODELS:
        raise UserError(
            SCHEMA_UNKNOWN,
            unknown("schema", name[:100], SCHEMAS),
            next=f"stagecraft config schema {SCHEMAS[-1]}",
        )
    model, title = _MODELS[name]
    made: dict[str, Any] = _tidied(model.model_json_schema())
    return {"$schema": _DIALECT, "title": title, **{key: made[key] for key in made if key != "title"}}


def _tidied(schema: Any) -> Any:  # noqa: ANN401  # JSON has no narrower type
    """Without titles that repeat keys and defaults that say nothing; no key against a rule for keys."""
    if is_list(schema):
        return [_tidied(item) for item in schema]
    if not is_mapping(schema):
        return schema
    made = {key: _tidied(value) for key, value in schema.items() if not _noise(key, value)}
    if "patternProperties" in made:
        made.setdefault("additionalProperties", False)
    return made


def _noise(key: str, value: object) -> bool:
    return (key == "title" and isinstance(value, str)) or (
        key == "default" and (value is None or value == [] or isinstance(value, dict))
    )
