"""How a project that already runs becomes an environment, without a restart."""

from __future__ import annotations

from pydantic import Field

from events.catalog.base import Event, recorded


@recorded("environment")
class AdoptionRequested(Event):
    """A Release of kind `adoption` was decided: what runs is taken for what the Manifest says."""

    release: str = Field(description="The Release's id.")
    digest: str = Field(description="The Manifest.")
    version: str = Field(description="Version shown to people.")
    revision: str | None = Field(description="The commit; null when there is none.")
    previous: str | None = Field(description="The Release that was deployed at this time; null: none.")
    accepted: bool = Field(
        default=False, description="Whether the person took over services that differ as they are."
    )
    allowed: tuple[str, ...] = Field(
        default=(), description="Permissions that the person gave to this Manifest, sorted."
    )


@recorded("environment")
class ServiceAdopted(Event):
    """Containers that somebody else made are ours from now on, by their ids; they carry no label of ours."""

    release: str = Field(description="The Release of kind `adoption`.")
    host: str = Field(description="The host.")
    service: str = Field(description="The service.")
    service_hash: str = Field(description="The hash that they count as.")
    containers: tuple[str, ...] = Field(description="Their ids, 64 hex digits each, sorted.")
    job: bool = Field(default=False, description="Whether they are finished runs of a one-shot service.")
    host_env: str | None = Field(
        default=None, description="Keyed digest of the host's env files that they were compared with."
    )
    differences: tuple[str, ...] = Field(
        default=(),
        description="Fields that are not as the Manifest says, sorted; the next Release mends them.",
    )
