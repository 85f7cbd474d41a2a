"""The schema of `stagecraft.yml` and of a descriptor; an unknown key is an error.

Types are strict: `version: 1.0` is a number and is refused, because as a tag it would have to be guessed.
A section whose keys are all optional may be left empty (`prod:`). Sections for providers, env layers,
secrets and routes join here as their issues come.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from gitops.durations import parse_duration

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SERVICE = re.compile(r"[A-Za-z0-9._-]+")
_REGISTRY = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*(?::\d{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
MAX_NAME = 63  # a name becomes a label, a folder and part of a host name
_MAX_HOST = 253


def checked_name(text: str) -> str:
    """A project, environment or role name. Raises ValueError."""
    if len(text) <= MAX_NAME and _NAME.fullmatch(text):
        return text
    proposal = re.sub(r"[^a-z0-9_-]+", "-", text[:MAX_NAME].lower()).strip("-_")
    hint = f"; {proposal!r} would do" if _NAME.fullmatch(proposal) else ""
    raise ValueError(
        "a name has lower-case letters, digits, '-' and '_', starts with a letter or digit and has at most "
        f"{MAX_NAME} characters, because Compose names containers and volumes by it{hint}"
    )


def checked_version(text: str) -> str:
    """A version, which is an image tag too. Raises ValueError."""
    if not _VERSION.fullmatch(text):
        raise ValueError("a version is an image tag: letters, digits, '_', '.' and '-', at most 128")
    return text


def _matching(pattern: re.Pattern[str], limit: int, rule: str) -> AfterValidator:
    def check(text: str) -> str:
        if len(text) > limit or not pattern.fullmatch(text):
            raise ValueError(rule)
        return text

    return AfterValidator(check)


def _seconds(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError("a length of time is text such as 2s, 500ms or 1m30s")  # noqa: TRY004  # pydantic's way
    return parse_duration(value)


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("it must be more than nothing")
    return seconds


def _emptied(value: Any) -> Any:  # noqa: ANN401  # whatever YAML gave
    """An empty section stands for its defaults."""
    return {} if value is None else value


Name = Annotated[str, AfterValidator(checked_name)]
HostName = Annotated[str, _matching(_HOST, _MAX_HOST, "a host name has letters, digits, '.', '_' and '-'")]
ServiceName = Annotated[str, _matching(_SERVICE, 255, "a service name has letters, digits, '.', '_' and '-'")]
Registry = Annotated[
    str,
    _matching(
        _REGISTRY, 255, "a registry is a host and a path as in an image name: ghcr.io/org/app, no scheme"
    ),
]
Version = Annotated[str, AfterValidator(checked_version)]
Duration = Annotated[float, BeforeValidator(_seconds), AfterValidator(_positive)]
Hosts = dict[Name, Annotated[list[HostName], Field(min_length=1)]]


class Section(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ProjectSection(Section):
    """`project`: what the app is called."""

    name: Name = Field(description="Name of the project, also the start of every container's name.")
    registry: Registry | None = Field(
        default=None, description="Where images that the project builds are pushed."
    )


class JobSection(Section):
    """`services.<name>.job`: the service runs to its end before those that wait for it."""

    on_rollback: bool = Field(default=False, description="Run it on rollback and revert too.")


class GateSection(Section):
    """`gate`: when a service counts as up."""

    settle: Duration | None = Field(
        default=None, description="Without a health check: how long it must stay up, as in `2s`."
    )
    deadline: Duration | None = Field(default=None, description="The longest wait for a verdict, as in `2m`.")


class ServiceSection(Section):
    """`services.<name>`: what Compose does not say of a service."""

    role: Name | None = Field(default=None, description="The hosts it runs on; `app` unless given.")
    job: Annotated[JobSection | None, BeforeValidator(_emptied)] = Field(
        default=None, description="It is a one-shot."
    )
    gate: Annotated[GateSection, BeforeValidator(_emptied)] = Field(
        default=GateSection(), description="When it counts as up."
    )
    paths: list[str] | None = Field(
        default=None, description="What its image is built from; everything unless given."
    )


Service = Annotated[ServiceSection, BeforeValidator(_emptied)]


class EnvironmentSection(Section):
    """`environments.<name>` and the whole of `environments/<name>.yml`."""

    compose_project: Name | None = Field(
        default=None, description="Compose's project name; never change it later."
    )
    version: Version | None = Field(default=None, description="Version to deploy; the commit unless given.")
    gate: Annotated[GateSection, BeforeValidator(_emptied)] = Field(
        default=GateSection(), description="For services that say nothing themselves."
    )
    hosts: Hosts | None = Field(default=None, min_length=1, description="Instead of the project's hosts.")
    services: Annotated[dict[ServiceName, Service], BeforeValidator(_emptied)] = Field(
        default={}, description="Goes over the project's services, key by key."
    )


Environment = Annotated[EnvironmentSection, BeforeValidator(_emptied)]


class StagecraftFile(Section):
    """`stagecraft.yml`."""

    project: ProjectSection
    hosts: Hosts | None = Field(
        default=None, min_length=1, description="`{role: [host names]}`; none: `local`."
    )
    services: Annotated[dict[ServiceName, Service], BeforeValidator(_emptied)] = Field(
        default={}, description="By Compose service."
    )
    environments: Annotated[dict[Name, Environment], BeforeValidator(_emptied)] = Field(
        default={},
        description="By name; `environments/<name>.yml` adds one or replaces the entry of that name.",
    )
