"""What people ask of services that run, and what containers do by themselves.

A `stop` and a `start` say what is wanted, and come before anything is done: whoever finds the log so, also
after a crash in between, brings the containers there. A `restart` says what was asked for once and is not
repeated.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from events.catalog.base import Event, recorded


@recorded("environment")
class ServiceStopped(Event):
    """A person wants a service down; its containers are stopped and kept, and no heal starts them."""

    service: str = Field(description="The service.")
    hashes: dict[str, str] = Field(
        description=(
            "`{host: service hash}`; where a Release brings another hash, the service is up again with it."
        )
    )
    reason: str = Field(default="", description="Why, in the person's words.")


@recorded("environment")
class ServiceStarted(Event):
    """A person wants a service up again, as the deployed Manifest says."""

    service: str = Field(description="The service.")
    reason: str = Field(default="", description="Why, in the person's words.")


@recorded("environment")
class ServiceRestarted(Event):
    """A person had the containers of a service restarted, one after the other; they keep their ids."""

    service: str = Field(description="The service.")
    hosts: tuple[str, ...] = Field(description="The hosts, sorted.")
    reason: str = Field(default="", description="Why, in the person's words.")


@recorded("environment")
class ContainerStateChanged(Event):
    """Containers of a service ended or went and nobody here had asked for it; at most one a minute."""

    host: str = Field(description="The host.")
    service: str = Field(description="The service.")
    state: str = Field(description="What the engine said last, such as `die`, `oom` or `destroy`.")
    count: int = Field(description="How often containers of the service ended or went since `since`.")
    since: datetime = Field(description="When the first of them was heard of.")
