"""The life of a Release: its start and its verdict in the environment's stream, its phases in its own.

Verdicts stand in the environment's stream because the next decision depends on them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from events.catalog.base import Event, Failure, recorded

Phase = Literal["build", "push", "migrate_pre", "rollout", "migrate_post", "finalize"]
PHASES: tuple[Phase, ...] = ("build", "push", "migrate_pre", "rollout", "migrate_post", "finalize")

ReleaseKind = Literal["deploy", "rollback", "revert", "promotion", "adoption"]


@recorded("environment")
class ReleaseStarted(Event):
    """A controller began to work on the Release."""

    release: str = Field(description="The Release's id.")
    digest: str = Field(description="The Manifest.")


@recorded("environment")
class ReleaseCompleted(Event):
    """Every service runs as the Manifest says and passed its gate."""

    release: str = Field(description="The Release's id.")
    digest: str = Field(description="The Manifest that is deployed now.")
    hosts: tuple[str, ...] = Field(description="The hosts that answered for it, sorted.")


@recorded("environment")
class ReleaseFailed(Event):
    """The Release did not reach its Manifest and nothing could be or had to be restored."""

    release: str = Field(description="The Release's id.")
    digest: str = Field(description="The Manifest.")
    failure: Failure = Field(description="Why.")
    touched: tuple[str, ...] = Field(
        default=(), description="Services that were changed before, `host/service`."
    )


@recorded("environment")
class ReleaseRolledBack(Event):
    """The Release failed and every service it touched was brought back to the Manifest before."""

    release: str = Field(description="The Release's id.")
    digest: str = Field(description="The Manifest that failed.")
    restored: str = Field(description="The Manifest that runs again.")
    failure: Failure = Field(description="Why it failed.")
    touched: tuple[str, ...] = Field(
        default=(), description="Services that were brought back, `host/service`."
    )


@recorded("environment")
class ReleaseSuperseded(Event):
    """A newer decision made a waiting Release needless, or ended the wait for health of a running one."""

    release: str = Field(description="The Release that will not run, or not to its end.")
    by: str = Field(description="The newer Release.")
    touched: tuple[str, ...] = Field(
        default=(),
        description="Services that it had changed, `host/service`; they stay so for the newer Release.",
    )


@recorded("environment")
class ReleaseCancelled(Event):
    """The Release will not go on: the environment is taken away."""

    release: str = Field(description="The Release.")
    reason: str = Field(description="Why.")


@recorded("release")
class PhaseStarted(Event):
    """Work on a phase began."""

    phase: Phase = Field(description="The phase.")


@recorded("release")
class PhaseCompleted(Event):
    """A phase did what it had to, which may be nothing."""

    phase: Phase = Field(description="The phase.")
    detail: str = Field(description="`no-op` when there was nothing to do, else what was done.")


@recorded("release")
class PhaseFailed(Event):
    """A phase ended with a failure; the ones after it are skipped."""

    phase: Phase = Field(description="The phase.")
    failure: Failure = Field(description="Why.")


@recorded("release")
class PhaseSkipped(Event):
    """A phase was not run because an earlier one failed."""

    phase: Phase = Field(description="The phase.")
    reason: str = Field(description="The phase that failed.")


@recorded("release")
class HostVariablesBound(Event):
    """A Release runs with what these env files of a host said at that moment; the values stay on the host."""

    release: str = Field(description="The Release.")
    host: str = Field(description="The host.")
    files: dict[str, str] = Field(description="`{path: digest of the content under a key of this home}`.")
    names: dict[str, tuple[str, ...]] = Field(description="`{path: names of its variables}`, sorted.")
    variables: dict[str, dict[str, str]] = Field(
        default={},
        description="`{service: {name: digest of its value under that key}}` of the variables that the "
        "document refers to as `${NAME}`.",
    )
