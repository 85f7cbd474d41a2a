"""`services.<name>`: what Compose does not say of a service, in a project or an environment."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from events.rollout import Strategy
from gitops.config.faults import allowed, meant
from gitops.config.rollout import ProbeSection, TrafficSection
from gitops.config.scalars import Duration, Name, ServiceAddress, Text
from gitops.config.section import UNUSED, Emptied, Section


class JobSection(Section):
    """`services.<name>.job`: the service runs to its end before those that wait for it."""

    on_rollback: bool = Field(default=False, description="Run it on rollback and revert too.")


class GateSection(Section):
    """`gate`: when a service counts as up."""

    settle: Duration | None = Field(
        default=None, description="Without a health check: how long it must stay up, as in `2s`."
    )
    deadline: Duration | None = Field(default=None, description="The longest wait for a verdict, as in `2m`.")


class ModeSection(Section):
    """`environments.<name>.<service>`: whether a service runs as a container there."""

    mode: Literal["container", "external"] = Field(
        description="`external`: it runs elsewhere and is not deployed."
    )
    url: ServiceAddress | None = Field(
        default=None, description="Where an external service answers; the gateway passes requests on to it."
    )


class ServiceRolloutSection(Section):
    """`services.<name>.rollout`: how it is replaced; `start-first` and `stop-first` alone are short forms.

    The word goes over what is doubtful, such as a volume that both versions would write.
    """

    traffic: Emptied[TrafficSection | None] = Field(
        default=None, description="Instead of the environment's `rollout.traffic`, key by key."
    )


class _WordAllowed:
    """A strategy's name alone stands for the section that asks for it, in the file and in its JSON Schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401  # pydantic's protocol
        return core_schema.no_info_before_validator_function(_spelled_out, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [handler(schema), {"enum": list(_STRATEGIES)}]}


_STRATEGIES: tuple[str, ...] = get_args(Strategy)


def _spelled_out(value: Any) -> Any:  # noqa: ANN401  # whatever YAML gave
    if not isinstance(value, str):
        return value
    if value not in _STRATEGIES:
        raise ValueError(f"unknown value{meant(value, _STRATEGIES)} ({allowed(_STRATEGIES)})")
    return {"traffic": {"strategy": value}}


class ServiceSection(Section):
    """`services.<name>`: what Compose does not say of a service."""

    role: Name | None = Field(default=None, description="The hosts it runs on; `app` unless given.")
    job: Emptied[JobSection | None] = Field(default=None, description="It is a one-shot.")
    gate: Emptied[GateSection] = Field(default=GateSection(), description="When it counts as up.")
    paths: list[str] | None = Field(
        default=None, description="What its image is built from; everything unless given."
    )
    mounts: dict[Text, Literal["state"]] = Field(
        default={},
        description="By path as the Compose file mounts it: `state` makes it a writable folder of the host.",
    )
    rollout: Annotated[Emptied[ServiceRolloutSection | None], _WordAllowed()] = Field(
        default=None,
        description="How it is replaced: `start-first` or `stop-first`; else what its definition allows.",
    )
    probe: Annotated[Emptied[ProbeSection | None], UNUSED] = Field(
        default=None, description="Requests sent to it while it is replaced."
    )


Service = Emptied[ServiceSection]
