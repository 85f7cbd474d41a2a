"""The life of a Release: its start and its verdict in the environment's stream, its phases in its own.

Verdicts stand in the environment's stream because the next decision depends on them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from events.catalog.base import Event, Failure, recorded

Phase = Literal["build", "push", "migrate_pre", "rollout", "migrate_post", "finalize"]
PHASES: tuple[Phase, ...] = ("build", "push", "migrate_pre", "rollout", "migrate_post", "finalize")

ReleaseKind = Literal["deploy", "rollback", "revert", "promotion", "adoption"]

HostEnd = Literal["completed", "skipped", "failed", "restored", "unknown", "untouched"]


class HostVerdict(BaseModel):
    """How a Release ended on one host."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: HostEnd = Field(
        description=(
            "`completed`: it runs the Release's Manifest; `skipped`: it did not answer and was left out; "
            "`failed`: it has parts of both; `restored`: it was brought back; `unknown`: it was lost on the "
            "way; `untouched`: nothing was changed there."
        )
    )
    digest: str | None = Field(
        default=None, description="The Manifest that it runs; null: none, or parts of two, or nobody knows."
    )
    reason: str = Field(default="", description="Why it did not complete there.")


class TrafficProof(BaseModel):
    """What became of requests while a Release moved them from its old containers to its new ones."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    requests: int = Field(
        description="Asked by us through the gateway from before the first switch until after the last "
        "drain; 0: the project asks for no probe, or it could not be made."
    )
    failed: int = Field(
        description="Of these, the ones that got no answer, or one with 5xx; 4xx is an answer."
    )
    longest_gap_ms: int = Field(
        description="The longest time without an answer, of the service where it was longest, in ms."
    )
    drain_ms: int = Field(
        description="The longest wait until no connection of a gateway to old containers was left, in ms."
    )
    cut: int = Field(description="Connections that were still open when old containers were stopped.")


def completed_on(hosts: Iterable[str], digest: str) -> dict[str, HostVerdict]:
    """By host, that a Manifest runs there."""
    return {host: HostVerdict(status="completed", digest=digest) for host in sorted(hosts)}


@recorded("environment")
class ReleaseStarted(Event):
    """A controller began to work on the Release."""

    release: str = Field(description="The Release's id.")
    digest: str = Field(description="The Manifest.")


@recorded("environment")
class ReleaseCompleted(Event):
    """Every service runs as the Manifest says and passed its gate, but on hosts that say otherwise."""

    SCHEMA: ClassVar[int] = 3  # 1: `hosts` were the names of those that completed; 2: without `traffic`

    release: str = Field(description="The Release's id.")
    digest: str = Field(description="The Manifest that is deployed now.")
    hosts: dict[str, HostVerdict] = Field(description="How it ended on each host of the Manifest.")
    traffic: TrafficProof | None = Field(
        default=None, description="What became of requests meanwhile; null: no route was switched."
    )


@recorded("environment")
class ReleaseFailed(Event):
    """The Release did not reach its Manifest and nothing could be or had to be restored."""

    SCHEMA: ClassVar[int] = 2  # 1: without `hosts` and `stays`

    release: str = Field(description="The Release's id.")
    digest: str = Field(description="The Manifest.")
    failure: Failure = Field(description="Why.")
    touched: tuple[str, ...] = Field(
        default=(), description="Services that were changed before, `host/service`."
    )
    hosts: dict[str, HostVerdict] = Field(
        default={}, description="How it ended on each host; none in what older versions recorded."
    )
    stays: bool = Field(
        default=False,
        description="Nothing was taken back: each host stays as it is until a person, or Git, says more.",
    )


@recorded("environment")
class ReleaseRolledBack(Event):
    """The Release failed and all it touched, on hosts that answer, is back at the Manifest before."""

    SCHEMA: ClassVar[int] = 2  # 1: without `hosts`

    release: str = Field(description="The Release's id.")
    digest: str = Field(description="The Manifest that failed.")
    restored: str = Field(description="The Manifest that runs again.")
    failure: Failure = Field(description="Why it failed.")
    touched: tuple[str, ...] = Field(
        default=(), description="Services that were brought back, `host/service`."
    )
    hosts: dict[str, HostVerdict] = Field(
        default={}, description="How it ended on each host; none in what older versions recorded."
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
class HostLeftOut(Event):
    """One of several hosts takes no further part in the Release: it did not answer, or failed on it."""

    host: str = Field(description="The host.")
    status: Literal["skipped", "failed", "unknown"] = Field(
        description="`skipped`: before anything was changed; `unknown`: it was lost on the way."
    )
    failure: Failure = Field(description="Why.")


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
