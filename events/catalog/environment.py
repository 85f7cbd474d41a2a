"""What was decided about an environment: renders, requests, deferrals, holds, suspends, drift."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from events.catalog.base import Event, Failure, recorded
from events.manifest import ImagePin


@recorded("environment")
class ManifestRendered(Event):
    """A commit was rendered to a Manifest that this environment can run."""

    digest: str = Field(description="The Manifest's digest; its bytes are the blob of that name.")
    revision: str = Field(description="The commit.")
    version: str = Field(description="Version shown to people: given, or of the descriptor, or the revision.")
    render_key: str = Field(description="Digest over `inputs` and `renderer`.")
    inputs: dict[str, str | None] = Field(
        description="Every path the render opened, collected or looked for, with its object id; null: absent."
    )
    renderer: str = Field(description="Version of the renderer.")
    services: dict[str, dict[str, str]] = Field(description="`{host: {service: service hash}}`.")
    images: dict[str, ImagePin] = Field(description="`{service: pin}`.")
    findings: tuple[str, ...] = Field(default=(), description="Warnings about the input, one line each.")
    unset_variables: tuple[str, ...] = Field(
        default=(), description="Variables that nothing sets and that rendered blank, sorted."
    )


@recorded("environment")
class RenderFailed(Event):
    """A commit could not be rendered; nothing was touched."""

    revision: str = Field(description="The commit.")
    failure: Failure = Field(description="Why.")


@recorded("environment")
class DeployRequested(Event):
    """A Release of kind `deploy` was decided."""

    release: str = Field(description="The Release's id.")
    digest: str = Field(description="The Manifest to run.")
    version: str = Field(description="Version shown to people; the revision unless given.")
    revision: str | None = Field(description="The commit; null when there is none.")
    previous: str | None = Field(description="The Release that was deployed at this time; null: none.")
    trigger: Literal["git", "person"] = Field(
        description="`git`: the watched branch shows it; `person`: somebody named the commit."
    )
    retry_of: str | None = Field(default=None, description="The failed Release that this one repeats.")
    allowed: tuple[str, ...] = Field(
        default=(), description="Permissions that the person gave to this Manifest, sorted."
    )


@recorded("environment")
class RevertDetected(Event):
    """Git went back to a tree whose Manifest ran before; a Release of kind `revert` was decided."""

    release: str = Field(description="The Release's id.")
    digest: str = Field(description="The recorded Manifest.")
    version: str = Field(description="Version shown to people.")
    revision: str = Field(description="The reverting commit.")
    previous: str | None = Field(description="The Release that was deployed at this time; null: none.")
    reverts: str | None = Field(description="The Release that Git took back.")


@recorded("environment")
class RollbackRequested(Event):
    """A person asked for a recorded Manifest; a Release of kind `rollback` was decided."""

    release: str = Field(description="The Release's id.")
    digest: str = Field(description="The recorded Manifest.")
    version: str = Field(description="Version of the target.")
    revision: str | None = Field(description="Commit of the target; null when it had none.")
    previous: str | None = Field(description="The Release that was deployed at this time.")
    target: str = Field(description="The Release whose Manifest is wanted.")
    reverts: str | None = Field(description="The Release that is taken back.")
    reason: str = Field(default="", description="Why, in the person's words.")
    allowed: tuple[str, ...] = Field(
        default=(), description="Permissions that the person gave to this Manifest, sorted."
    )


@recorded("environment")
class DeploySkipped(Event):
    """A render was not deployed and never will be: it changes nothing or came too late."""

    reason: str = Field(description="Stable word: `already-deployed`, `superseded`.")
    digest: str = Field(description="The Manifest.")
    revision: str | None = Field(description="The commit.")


@recorded("environment")
class DeployDeferred(Event):
    """A render waits until a rule lets it pass."""

    rule: str = Field(description="Stable word: `contains-held-change`, `held`, `not-allowed`, `suspended`.")
    digest: str = Field(description="The Manifest that waits.")
    revision: str | None = Field(description="The commit.")
    detail: str = Field(default="", description="What the rule saw, such as the services at fault.")


@recorded("environment")
class DeployRefused(Event):
    """A person asked for a Manifest and a rule did not let it pass; nothing was touched."""

    rule: str = Field(description="Stable word: `not-allowed`.")
    digest: str = Field(description="The Manifest.")
    revision: str | None = Field(description="The commit; null when there is none.")
    detail: str = Field(default="", description="What the rule saw, such as the services at fault.")
    needs: tuple[str, ...] = Field(
        default=(), description="The narrowest permissions that would let it pass."
    )


@recorded("environment")
class EnvironmentHeld(Event):
    """The environment is pinned to a Manifest; a later hold replaces an earlier one."""

    target: str = Field(description="The Manifest that is defended.")
    bad: tuple[str, ...] = Field(description="Manifests that Git must not bring back, sorted.")
    clears: Literal["fixed", "manual"] = Field(
        description="`fixed`: a render without the bad change clears it; `manual`: `resume` or expiry does."
    )
    reason: str = Field(description="Why.")
    until: datetime | None = Field(default=None, description="When it ends by itself; null: it does not.")


@recorded("environment")
class HoldCleared(Event):
    """The hold ended."""

    reason: Literal["resumed", "expired", "reverted", "fixed", "retried"] = Field(
        description=(
            "What ended it: a person, time, Git back at the target, a render without the bad change, a retry."
        )
    )
    revision: str | None = Field(default=None, description="The commit that cleared it.")
    detail: str = Field(default="", description="A person's words.")


@recorded("environment")
class LockBroken(Event):
    """A person ended the process that held the environment's lock, because it hung."""

    holder_pid: int = Field(description="The process that was ended.")
    since: str = Field(description="Since when it had held the lock, as it wrote itself.")
    purpose: str = Field(description="What it was doing, in its own words.")
    reason: str = Field(description="Why, in the person's words.")


@recorded("environment")
class EnvironmentSuspended(Event):
    """No deploy and no heal until it is resumed; status is still reported."""

    reason: str = Field(description="Why.")


@recorded("environment")
class EnvironmentResumed(Event):
    """The suspend ended."""

    reason: str = Field(default="", description="Why.")


@recorded("environment")
class DriftDetected(Event):
    """What runs is not what is deployed."""

    host: str = Field(description="The host.")
    services: dict[str, str] = Field(description="`{service: what differs}`.")


@recorded("environment")
class DriftHealed(Event):
    """What runs is what is deployed again."""

    host: str = Field(description="The host.")
    services: tuple[str, ...] = Field(description="The services that were mended, sorted.")


@recorded("environment")
class BreakerOpened(Event):
    """Healing did not last; it rests until then, unless a new Release or a person comes first."""

    attempts: int = Field(description="Heals that did not last or could not be done.")
    until: datetime = Field(description="When healing is tried again.")
    reason: str = Field(description="What the last attempt showed.")


@recorded("environment")
class BreakerClosed(Event):
    """Healing is on again."""

    reason: Literal["cool-down", "resumed"] = Field(description="What ended the rest: its time, a person.")
    detail: str = Field(default="", description="A person's words.")
