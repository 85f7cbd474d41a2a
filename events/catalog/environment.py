"""What was decided about an environment: renders, requests, deferrals, holds, suspends."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from events.catalog.base import Event, Failure, recorded
from events.catalog.drift import DriftPolicy
from events.manifest import ImagePin


class HostsConduct(BaseModel):
    """In which order the hosts of an environment get a Release, and what one that fails means."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    canary: str | int | None = Field(
        default=None, description="The host, or how many of each role's, that gets it before the others."
    )
    max_parallel: int = Field(default=1, description="Hosts that change at the same time.")
    max_failures: int = Field(default=0, description="Hosts that may fail before the Release does.")
    on_unreachable: Literal["fail", "skip"] = Field(
        default="fail", description="`skip`: a host that does not answer catches up later."
    )


class Conduct(BaseModel):
    """How a Release of a Manifest is carried out, and what is kept of it, beside what runs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    parallel: int = Field(default=10, description="Services that are worked on at once.")
    most_removed: int | None = Field(
        default=None,
        description="Services that one Release may take away by itself; null: what the operator says.",
    )
    keep_images: int = Field(
        default=5, description="Completed Releases whose images are kept, beside those that may come back."
    )
    hosts: HostsConduct = Field(default=HostsConduct(), description="Over the hosts.")
    on_failure: Literal["revert", "hold", "continue"] = Field(
        default="revert", description="What becomes of the hosts when too many of them fail."
    )


@recorded("environment")
class ManifestRendered(Event):
    """A commit was rendered to a Manifest that this environment can run."""

    SCHEMA: ClassVar[int] = 2  # 1: `conduct` without `hosts` and `on_failure`

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
    refresh: float | Literal["never", "on-deploy"] = Field(
        default="never", description="When its tags are looked up again; a number: every so many seconds."
    )
    drift: DriftPolicy = Field(
        default="heal", description="What the descriptor wants done with drift, at least."
    )
    conduct: Conduct = Field(default=Conduct(), description="How its Releases are carried out.")


class MovedImage(BaseModel):
    """A reference that means another image than before."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ref: str = Field(description="As written.")
    before: str = Field(description="The digest or image id that it was pinned to.")
    now: str = Field(description="The one that it is pinned to from now on.")


@recorded("environment")
class ImagesRefreshed(Event):
    """Tags were looked up again, and some mean other images than before; the pins were moved."""

    digest: str = Field(description="The Manifest with the new pins.")
    replaces: str | None = Field(
        description="The Manifest that is the same but for these pins; null: the commit is another one too."
    )
    moved: tuple[MovedImage, ...] = Field(description="What moved, sorted by reference.")
    cause: Literal["person", "policy"] = Field(description="Who wanted them looked up again.")


@recorded("environment")
class ImageAwaited(Event):
    """Images that the project's CI pushes are not in their registry yet; the commit waits for them."""

    revision: str = Field(description="The commit.")
    images: tuple[str, ...] = Field(description="The references, sorted.")
    until: datetime = Field(description="When the wait is given up.")
    why: str = Field(default="", description="The registry's words about the first of them.")
    trigger: Literal["git", "person"] = Field(
        description="`git`: the watched branch shows the commit; `person`: somebody deploys it and waits."
    )


@recorded("environment")
class ImageBuilt(Event):
    """An image was built from the files of a commit."""

    service: str = Field(description="The service.")
    revision: str = Field(description="The commit.")
    ref: str = Field(description="What the image is called; its tag says what it was made from.")
    image_id: str = Field(description="Its id on the engine that built it.")
    pushed: bool = Field(description="Whether it was pushed to the project's registry.")
    seconds: float = Field(description="How long it took.")


@recorded("environment")
class RenderFailed(Event):
    """A commit could not be rendered, or is not taken from the branch at all; nothing was touched."""

    revision: str = Field(description="The commit.")
    failure: Failure = Field(description="Why.")
    rule: str | None = Field(
        default=None,
        description="The rule by which the branch's commit is not taken; null: it could not be rendered.",
    )


@recorded("environment")
class DeployRequested(Event):
    """A Release of kind `deploy` was decided."""

    SCHEMA: ClassVar[int] = 2  # 1: without `scope`

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
    confirmed_prune: int | None = Field(
        default=None, description="So many services may go with it, the person said; null: they did not."
    )
    scope: tuple[str, ...] = Field(
        default=(), description="The only hosts that it works on, sorted; none: all of the Manifest."
    )


@recorded("environment")
class RevertDetected(Event):
    """Git took something back; a Release of kind `revert` was decided."""

    release: str = Field(description="The Release's id.")
    digest: str = Field(description="The Manifest; a recorded one when `by` is `tree`.")
    version: str = Field(description="Version shown to people.")
    revision: str = Field(description="The reverting commit.")
    previous: str | None = Field(description="The Release that was deployed at this time; null: none.")
    reverts: str | None = Field(description="The Release that Git took back.")
    by: Literal["tree", "message"] = Field(
        default="tree",
        description="`tree`: its Manifest ran before; `message`: the commit says what it reverts.",
    )


@recorded("environment")
class RollbackRequested(Event):
    """A person asked for a recorded Manifest; a Release of kind `rollback` was decided."""

    SCHEMA: ClassVar[int] = 2  # 1: without `scope`

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
    scope: tuple[str, ...] = Field(
        default=(), description="The only hosts that it works on, sorted; none: all of the Manifest."
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

    SCHEMA: ClassVar[int] = 2  # 1: without `partial`

    target: str = Field(description="The Manifest that is defended.")
    bad: tuple[str, ...] = Field(description="Manifests that Git must not bring back, sorted.")
    clears: Literal["fixed", "manual"] = Field(
        description="`fixed`: a render without the bad change clears it; `manual`: `resume` or expiry does."
    )
    reason: str = Field(description="Why.")
    until: datetime | None = Field(default=None, description="When it ends by itself; null: it does not.")
    agrees: bool = Field(
        default=False,
        description="Whether it also ends when the branch shows the target: it stands because that differs.",
    )
    partial: bool = Field(
        default=False,
        description="Whether it stands because only some hosts got the target: it also ends when all do.",
    )


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
    """No deploy by Git and no heal until it is resumed; status is still reported."""

    reason: str = Field(description="Why.")
    until: datetime | None = Field(default=None, description="When it ends by itself; null: it does not.")


@recorded("environment")
class EnvironmentResumed(Event):
    """The suspend ended."""

    reason: str = Field(default="", description="Why.")
    cause: Literal["resumed", "expired"] = Field(
        default="resumed", description="What ended it: a person, time."
    )
