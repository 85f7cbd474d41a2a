"""`images` of a project or an environment: tags that move, and images that are not there yet."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from gitops.config.scalars import DURATION_PATTERN, Count, Duration
from gitops.config.section import Section
from gitops.durations import format_duration, parse_duration

NEVER: Literal["never"] = "never"
ON_DEPLOY: Literal["on-deploy"] = "on-deploy"
_NAMED_SECONDS = {"hourly": 3600.0, "daily": 86400.0, "weekly": 604800.0}
_SHORTEST_REFRESH = 300.0  # seconds


def _refresh(value: object) -> object:
    """`never` and `on-deploy` stay words; `hourly`, `daily` and lengths of time become seconds."""
    if value in (NEVER, ON_DEPLOY):
        return value
    if not isinstance(value, str):
        raise ValueError("it is never, on-deploy, hourly, daily, weekly or a length of time such as 6h")  # noqa: TRY004  # pydantic's way
    seconds = _NAMED_SECONDS.get(value) or parse_duration(value)
    if seconds < _SHORTEST_REFRESH:
        raise ValueError("registries are not asked more often than every 5 minutes")
    return seconds


def _as_written(value: float | str) -> str:
    return value if isinstance(value, str) else format_duration(value)


Refresh = Annotated[
    float | Literal["never", "on-deploy"],
    BeforeValidator(_refresh),
    PlainSerializer(_as_written, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": [NEVER, ON_DEPLOY, *_NAMED_SECONDS]},
                {"type": "string", "pattern": DURATION_PATTERN},
            ]
        }
    ),
]


class ImagesSection(Section):
    """`images`: what becomes of tags that move, of images that are not there yet, and of old ones."""

    refresh: Refresh | None = Field(
        default=None,
        description="When tags are looked up again: `never`, `on-deploy`, `daily`, or every `6h`.",
    )
    wait: Duration | None = Field(
        default=None, description="How long an image that CI pushes is waited for; `15m` unless given."
    )
    keep: Count | None = Field(
        default=None,
        description="Of how many completed Releases the images stay on the engine, `5` unless given.",
    )
