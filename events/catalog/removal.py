"""What was decided about taking an environment away, and what went."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from events.catalog.base import Event, recorded


class Belongings(BaseModel):
    """What an environment has on one host."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    containers: tuple[str, ...] = Field(default=(), description="Ids, 64 hex digits each, sorted.")
    networks: tuple[str, ...] = Field(default=(), description="Names, sorted.")
    volumes: tuple[str, ...] = Field(default=(), description="Names of volumes with their data, sorted.")


@recorded("environment")
class EnvironmentOrphaned(Event):
    """The watched branch declares the environment no longer; what runs goes on until a rule or a person."""

    ref: str = Field(description="Fully qualified ref.")
    revision: str = Field(description="The commit that does not have it.")
    together: int = Field(description="How many environments this commit took away, this one included.")


@recorded("environment")
class EnvironmentReturned(Event):
    """The watched branch declares the environment again."""

    ref: str = Field(description="Fully qualified ref.")
    revision: str = Field(description="The commit that has it.")


@recorded("environment")
class RemovalDeferred(Event):
    """A rule would remove the environment and another one keeps it: a person decides."""

    rule: str = Field(description="Stable word: `too-many-at-once`.")
    detail: str = Field(default="", description="What the rule saw.")


@recorded("environment")
class PruneDeferred(Event):
    """A Release was completed, and more services left its Manifest than it may take away: they run on."""

    release: str = Field(description="The Release.")
    services: tuple[str, ...] = Field(description="What left, `host/service`, sorted; a volume never goes.")
    most: int = Field(description="Services that a Release may take away; fewer where that is over half.")


@recorded("environment")
class PruneConfirmed(Event):
    """A person let what had left the Manifest go; it is recorded before anything is removed."""

    release: str = Field(description="The Release whose Manifest they had left.")
    services: tuple[str, ...] = Field(description="What goes, `host/service`, sorted.")
    reason: str = Field(default="", description="Why, in the person's words.")


@recorded("environment")
class DestroyRequested(Event):
    """The environment is to be taken away; what is named here goes, and volumes only if they are named."""

    cause: Literal["person", "orphaned"] = Field(
        description="`person`: somebody asked; `orphaned`: the rule for environments that are gone from Git."
    )
    reason: str = Field(default="", description="Why, in the person's words.")
    volumes_confirmed: bool = Field(
        default=False, description="Whether a person confirmed, by itself, that the named volumes go."
    )
    hosts: dict[str, Belongings] = Field(description="What was there when it was asked, by host.")


@recorded("environment")
class EnvironmentDestroyed(Event):
    """The environment was taken away: nothing of it runs, and nothing is deployed."""

    hosts: dict[str, Belongings] = Field(description="What is gone, by host.")
    kept: dict[str, tuple[str, ...]] = Field(
        default_factory=dict[str, "tuple[str, ...]"],
        description="What was left and why, by host, a line each.",
    )
