"""Golden files: read, made for what has none, and the digest of a class's schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from events.catalog import Event
from events.kernel.canonical import digest_of
from gitops.config.plain import is_list, is_mapping
from tests.goldens.examples import least_example, whole_example

FOLDER = Path(__file__).parent / "events"
_PROSE = frozenset({"description", "title", "examples"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """One type in one schema."""

    type: str
    schema: int
    model: str  # digest of the class's JSON Schema without its prose
    examples: Mapping[str, dict[str, Any]]  # stored data by what they show

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.type}.{self.schema}.json"


def read_goldens(folder: Path = FOLDER) -> Iterator[Golden]:
    """All that are recorded, sorted by file."""
    for file in sorted(folder.glob("*.json")):
        yield Golden(**json.loads(file.read_text()))


def golden_of(cls: type[Event]) -> Golden:
    """What a class looks like now."""
    return Golden(
        type=cls.__name__,
        schema=cls.SCHEMA,
        model=model_digest(cls),
        examples={"least": least_example(cls), "whole": whole_example(cls)},
    )


def record_new(classes: Mapping[str, type[Event]], folder: Path = FOLDER) -> list[str]:
    """Write the files that are not there yet and answer their names; one that is there stays as it is."""
    made: list[str] = []
    for cls in classes.values():
        golden = golden_of(cls)
        file = folder / golden.name
        if not file.exists():
            value = {
                "type": golden.type,
                "schema": golden.schema,
                "model": golden.model,
                "examples": golden.examples,
            }
            file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
            made.append(golden.name)
    return made


def model_digest(cls: type[Event]) -> str:
    """The digest of what a class's JSON Schema demands; words that only explain do not count."""
    return digest_of(_without_prose(cls.model_json_schema()))


def _without_prose(value: object, *, names: bool = False) -> object:
    """A JSON Schema without what explains it; with `names` the keys are names of fields, which all count."""
    if is_mapping(value):
        return {
            key: _without_prose(inner, names=not names and key in {"properties", "$defs"})
            for key, inner in value.items()
            if names or key not in _PROSE
        }
    if is_list(value):
        return [_without_prose(one) for one in value]
    return value
