"""What a watched repository showed."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import Field

from events.catalog.base import Event, recorded


@recorded("repository")
class RevisionObserved(Event):
    """The watched branch points at a commit that was not seen, or not verified, there before."""

    SCHEMA: ClassVar[int] = 2  # 1: without `committed_at`

    ref: str = Field(
        description="Fully qualified ref, as in `refs/heads/main`; where tags are watched `refs/tags/` and "
        "the range of versions."
    )
    revision: str = Field(description="The commit, 40 or 64 hex digits.")
    previous: str | None = Field(
        description="The commit seen before, the same one if it is taken or verified now; null at first."
    )
    tree: str = Field(description="Object id of the commit's root tree.")
    author: str = Field(description="Pseudonym of the commit's author.")
    subject: str = Field(description="First line of the commit message, at most 200 characters.")
    affected: tuple[str, ...] = Field(
        description="Environments of this branch, `<project>/<name>`, whose inputs changed."
    )
    declared: tuple[str, ...] = Field(
        default=(),
        description="All environments that the commit declares, sorted; empty if it cannot be used.",
    )
    wanted: tuple[str, ...] | None = Field(
        default=None,
        description="Those of them that are deployed from this branch unless another one has them; "
        "null if the commit cannot be used.",
    )
    signer: str | None = Field(
        default=None,
        description="Pseudonym of the allowed signer who vouches for it; null if a key alone says who.",
    )
    signing_key: str | None = Field(
        default=None,
        description="Fingerprint of the key that vouches for it; null while no commit is verified.",
    )
    takes_back: tuple[str, ...] = Field(
        default=(),
        description="Commits shown before that messages since then say are reverted, sorted.",
    )
    tag: str | None = Field(
        default=None, description="The tag that names the version; null where a branch is watched."
    )
    committed_at: datetime | None = Field(
        default=None, description="When it was committed, by the committer's clock; null in older events."
    )


@recorded("repository")
class RevisionRejected(Event):
    """A commit was seen and not taken; what is deployed stays."""

    ref: str = Field(description="Fully qualified ref.")
    revision: str = Field(description="The commit.")
    rule: str = Field(description="The rule that refused it.")
    detail: str = Field(default="", description="What the rule saw.")
    tag: str | None = Field(
        default=None, description="The tag that names the version; null where a branch is watched."
    )


@recorded("repository")
class HistoryRewritten(Event):
    """The branch points at a commit that does not descend from the one seen before, or a tag was moved."""

    ref: str = Field(description="Fully qualified ref.")
    previous: str = Field(description="The commit seen before.")
    revision: str = Field(description="The commit seen now.")
    tag: str | None = Field(default=None, description="The tag that was moved; null for a branch.")


@recorded("repository")
class EnvironmentLeftOut(Event):
    """The branch declares an environment that belongs to another branch; it is not deployed from here."""

    ref: str = Field(description="Fully qualified ref that declares it too.")
    revision: str = Field(description="The commit that does.")
    environment: str = Field(description="`<project>/<name>`.")
    owner: str = Field(description="Slug of the repository whose branch declared it first.")
    owner_ref: str = Field(description="That branch, fully qualified.")
