"""What became of services and jobs."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from events.catalog.base import Event, Failure, recorded
from events.rollout import Strategy


@recorded("release")
class ServiceReplaced(Event):
    """Containers of a service came, went or were exchanged."""

    SCHEMA: ClassVar[int] = 2  # 1: `seconds` in place of `milliseconds`, and before that neither

    host: str = Field(description="The host.")
    service: str = Field(description="The service.")
    old_ids: tuple[str, ...] = Field(description="Containers that are gone, 64 hex digits each.")
    new_ids: tuple[str, ...] = Field(description="Containers that run instead, 64 hex digits each.")
    reason: str = Field(
        description=(
            "Why: `new`, `changed`, `missing`, `stopped`, `orphan`, `restored`, `drift` or a longer text."
        )
    )
    rollout: Strategy | None = Field(
        default=None,
        description=(
            "`start-first`: the new ones had passed their gate before the old ones were stopped. "
            "`stop-first`: in place. Nothing where containers only came or only went."
        ),
    )
    because: tuple[str, ...] = Field(
        default=(),
        description="What forbids to exchange them side by side: it forbade it, or was seen on the new ones.",
    )
    milliseconds: int | None = Field(
        default=None,
        description=(
            "Of an exchange: how long it took, to the start of the new containers in place, to the end of "
            "the old ones side by side."
        ),
    )


@recorded("release")
class ServiceStartedBeside(Event):
    """New containers of a service run beside the old ones, which stay until the new ones passed the gate."""

    host: str = Field(description="The host.")
    service: str = Field(description="The service.")
    old_ids: tuple[str, ...] = Field(description="Containers that run on, 64 hex digits each.")
    new_ids: tuple[str, ...] = Field(description="Containers that were made, 64 hex digits each.")
    reason: str = Field(description="Why, as of the `ServiceReplaced` that is to follow.")


@recorded("release")
class ServiceWithdrawn(Event):
    """New containers go again, recorded before they do; the old ones beside them were never touched."""

    host: str = Field(description="The host.")
    service: str = Field(description="The service.")
    containers: tuple[str, ...] = Field(description="Containers that go, 64 hex digits each.")
    failure: Failure = Field(description="Why: what failed, of this service or of one beside it.")


@recorded("release")
class ServiceReloaded(Event):
    """Mounted files of a service have other content, and its running containers were told by a signal."""

    host: str = Field(description="The host.")
    service: str = Field(description="The service.")
    containers: tuple[str, ...] = Field(
        description="Containers that got the signal, 64 hex digits each; one that had ended is left out."
    )
    signal: str = Field(description="The signal, such as `SIGHUP`.")
    content: str = Field(description="Digest of all that it mounts from the commit and is told of.")
    files: tuple[str, ...] = Field(
        default=(),
        description=(
            "Paths in the containers that had other content, at most 50; none after a crash in between."
        ),
    )
    reason: str = Field(description="Why: `mounted files changed`, `restored`, `drift` or a longer text.")


@recorded("environment")
class JobCompleted(Event):
    """A one-shot service ran to its end with exit code 0; this hash need not run again here."""

    release: str = Field(description="The Release it ran in.")
    host: str = Field(description="The host.")
    service: str = Field(description="The service.")
    service_hash: str = Field(description="The hash that succeeded.")
    container: str = Field(description="The container, which was removed afterwards.")
    log_tail: tuple[str, ...] = Field(default=(), description="Last lines of its log.")


@recorded("environment")
class JobFailed(Event):
    """A one-shot service did not end with exit code 0; its container is kept."""

    release: str = Field(description="The Release it ran in.")
    host: str = Field(description="The host.")
    service: str = Field(description="The service.")
    service_hash: str = Field(description="The hash that failed.")
    container: str = Field(description="The container, kept for a look.")
    failure: Failure = Field(description="Why.")
