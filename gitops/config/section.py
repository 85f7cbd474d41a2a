"""What all sections of a configuration file share.

A section is strict: types are not converted and a key that no schema has is an error. Three more things are
said once, so that checking, the JSON Schemas and the reference all know them:

* `Emptied`: a section may be left empty (`prod:`) and then stands for its defaults.
* `UNUSED`: the key is checked and nothing reads it yet; `gitops.config.unused` reports it. Whoever makes a
  key work takes the mark away.
* `Gathering`: a section in which the user chooses some of the keys (`postgres_volume`, the name of a
  provider). Validation moves them into a mapping of their own, under a name in brackets that nobody sees.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from gitops.config.plain import is_mapping

T = TypeVar("T")


class Section(BaseModel):
    """A part of a file."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Unused:
    """The mark of a key that is checked and that nothing reads yet."""


UNUSED: Final = Unused()


class _EmptyAllowed:
    """Nothing written stands for a section without keys, in the file and in its JSON Schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401  # pydantic's protocol
        return core_schema.no_info_before_validator_function(_emptied, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        inner = handler(schema)
        nothing = {"type": "null"}
        return inner if nothing in inner.get("anyOf", ()) else {"anyOf": [inner, nothing]}


Emptied = Annotated[T, _EmptyAllowed()]


def _emptied(value: Any) -> Any:  # noqa: ANN401  # whatever YAML gave
    return {} if value is None else value


class Gathering(Section):
    """A section that gathers the keys of the user's choosing in fields whose alias stands in brackets."""

    # By alias: the pattern of the keys that a field takes, None for whatever no other takes.
    GATHERED: ClassVar[dict[str, str | None]] = {}

    @classmethod
    def group_of(cls, name: str, value: object, data: dict[str, Any]) -> str | None:  # noqa: ARG003  # for those who override it
        """The alias of the field that takes the key `name`, None for a key that must not be there."""
        return None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any) -> Any:  # noqa: ANN401  # whatever YAML gave
        if not is_mapping(data):
            return data
        made: dict[str, Any] = {}
        for name, value in data.items():
            if name in cls.GATHERED:
                raise ValueError(f"unknown key {name!r}")
            group = None if name in keys_of(cls) else cls.group_of(name, value, data)
            if group is None:
                made[name] = value
            else:
                made.setdefault(group, {})[name] = value
        return made

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        made = handler(schema)
        target = handler.resolve_ref_schema(made)
        for alias, pattern in cls.GATHERED.items():
            mapping = target["properties"].pop(alias)
            names, taken = next(iter(mapping.get("patternProperties", {"": None}).items()))
            taken = taken or mapping["additionalProperties"]
            if pattern is None:
                target["additionalProperties"] = taken
                target["propertyNames"] = {"pattern": names}
            else:
                target.setdefault("patternProperties", {})[f"^{pattern}$"] = taken
        return made

    @model_serializer(mode="wrap")
    def _spread(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        spread: dict[str, Any] = {}
        for name, value in plain.items():
            spread.update(value if name in self.GATHERED else {name: value})
        return spread


@cache
def keys_of(model: type[BaseModel]) -> dict[str, str]:
    """`{key as written: field name}` of the keys with a fixed name."""
    gathered = model.GATHERED if issubclass(model, Gathering) else {}
    names = {info.alias or name: name for name, info in model.model_fields.items()}
    return {key: name for key, name in names.items() if key not in gathered}
