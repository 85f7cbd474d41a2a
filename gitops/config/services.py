"""`services.<name>`: what Compose does not say of a service, in a project or an environment."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from events.rollout import Strategy
from gitops.config.faults import allowed, meant
from gitops.config.rollout import ProbeSection, TrafficSection
from gitops.config.scalars import (
    AskedHost,
    Duration,
    Name,
    Port,
    RequestPath,
    ServiceAddress,
    StatusRange,
    Text,
)
from gitops.config.section import Emptied, Section


class JobSection(Section):
    """`services.<name>.job`: the service runs to its end before those that wait for it."""

    on_rollback: bool = Field(default=False, description="Run it on rollback and revert too.")


class GateSection(Section):
    """`gate`: when a service counts as up."""

    settle: Duration | None = Field(
        default=None,
        description="Without a health check and probes: how long it must stay up, as in `2s`.",
    )
    deadline: Duration | None = Field(
        default=None, description="The longest wait until it counts as up, as in `2m`."
    )
    watch: Duration | None = Field(
        default=None,
        description="How long it is still judged after that: restarts, health, probes and log. None unless "
        "given; `10s` with `logs`.",
    )


class HttpProbeSection(Section):
    """`services.<name>.gate.http`: a GET that each of its containers has to answer."""

    port: Port = Field(description="The port inside the container.")
    path: RequestPath = Field(default="/", description="What is asked for.")
    status: StatusRange = Field(
        default="200-399", description="The statuses that count; a redirect is not followed."
    )
    host: AskedHost | None = Field(
        default=None, description="The `Host` that is asked for; `localhost` and the port unless given."
    )


class TcpProbeSection(Section):
    """`services.<name>.gate.tcp`: a port on which each of its containers has to take connections."""

    port: Port = Field(description="The port inside the container.")


class LogSection(Section):
    """`services.<name>.gate.logs`: what its log may not say while it is watched."""

    silent_of: Annotated[list[Text], Field(min_length=1)] = Field(
        description="Texts, not patterns; a line with one of them, written during `watch`, is a failure."
    )


class ServiceGateSection(GateSection):
    """`services.<name>.gate`: when a service counts as up."""

    http: HttpProbeSection | None = Field(default=None, description="It answers a request.")
    tcp: TcpProbeSection | None = Field(default=None, description="It takes connections.")
    command: Annotated[list[Text], Field(min_length=1)] | None = Field(
        default=None,
        description="A program with its arguments, run in the container without a shell, ends with 0.",
    )
    timeout: Duration | None = Field(
        default=None, description="The longest wait for the answer to one probe; `5s` unless given."
    )
    logs: LogSection | None = Field(default=None, description="Its log is silent of some texts.")


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
    gate: Emptied[ServiceGateSection] = Field(
        default=ServiceGateSection(), description="When it counts as up."
    )
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
    probe: Emptied[ProbeSection | None] = Field(
        default=None,
        description="Requests of our own, through the gateway, while it is replaced; goes over the "
        "environment's `probe`, key by key.",
    )


Service = Emptied[ServiceSection]
