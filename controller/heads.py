"""What a watched place shows now at its source, and what may follow what was taken from it.

A place is a branch, or the tags whose names are versions in a range; of those the newest counts. A branch
has to be followed: its next commit descends from the one that was taken. A newer version need not descend
from the older one, since it is told by its name. So a name that was taken must go on meaning the same commit
(`tag-moved`), and a version is never followed by an older one because its tag went away (`tag-gone`): what
is deployed stays, and a person goes back. `allow_rewrite` lets a history be rewritten and a tag be moved.

What tags were taken for is known by the whole repository, so it outlives a change of the range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from events.kernel.errors import UserError, error_code
from gitops.source.mirror import TagRef
from gitops.source.versions import parse_version

if TYPE_CHECKING:
    from controller.branches import BranchState
    from controller.repositories import BranchRules, WatchedBranch
    from controller.watching import Tip
    from gitops.source.mirror import Mirror
    from gitops.source.tags import VersionTag

HISTORY_REWRITTEN = error_code(
    "history-rewritten", "The branch does not descend from the commit that was taken from it before."
)
TAG_MOVED = error_code("tag-moved", "A tag that was taken points at another commit now.")
TAG_GONE = error_code(
    "tag-gone", "The newest version has no tag any more, and an older one does not follow it."
)
HISTORY_RULES: Final = frozenset({HISTORY_REWRITTEN, TAG_MOVED, TAG_GONE})
"""By which a commit may not follow what was taken."""

_SHOWN_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a place points at its source."""

    revision: str
    tag: VersionTag | None = None  # None: the place is a branch

    @property
    def name(self) -> str | None:
        """The tag's name."""
        return None if self.tag is None else self.tag.name

    @property
    def shown(self) -> str:
        """The commit, and the tag that names it, as people read them."""
        short = self.revision[:_SHOWN_DIGITS]
        return short if self.tag is None else f"{self.tag.name} ({short})"


async def ask_head(mirror: Mirror, place: WatchedBranch) -> Head:
    """Where the place points now, by one question. Raises as `Mirror.remote_head` or `Mirror.newest_tag`."""
    if place.tags is None:
        return Head(revision=await mirror.remote_head(place.branch))
    tag = await mirror.newest_tag(place.tags)
    return Head(revision=tag.revision, tag=tag)


async def fetch_head(mirror: Mirror, place: WatchedBranch, head: Head) -> Head:
    """Bring what was answered here, or what the place points at by now. Raises as the mirror's fetches."""
    if place.tags is None or head.tag is None:
        return Head(revision=await mirror.fetch(place.branch))
    tag = await mirror.fetch_tag(place.tags, head.tag)
    return Head(revision=tag.revision, tag=tag)


def own_tags(head: Head) -> tuple[TagRef, ...]:
    """What can vouch for a version: its own tag alone, or anybody could give an old commit a new name."""
    tag = head.tag
    return () if tag is None or not tag.annotated else (TagRef(name=tag.name, object_id=tag.object_id),)


def check_history(tip: Tip, before: BranchState, rules: BranchRules) -> None:
    """Raise UserError unless the commit may follow what was taken.

    With `history-rewritten` for a branch, and with `tag-moved` or `tag-gone` for tags.
    """
    if tip.tag is not None:
        _check_version(tip, tip.tag, before, rules)
        return
    revision, taken = tip.commit.revision, before.taken
    if taken is None or taken == revision or rules.allow_rewrite:
        return
    if tip.repository.is_ancestor(taken, revision):
        return
    raise UserError(
        HISTORY_REWRITTEN,
        f"the history of {tip.ref} was rewritten: {revision[:_SHOWN_DIGITS]} does not follow "
        f"{taken[:_SHOWN_DIGITS]}",
        why="what is deployed stays, because a rewritten history is taken only where controller.yml says so",
        next=f"push a commit that follows {taken[:_SHOWN_DIGITS]}, or set {_key(rules)} to true in "
        "controller.yml",
    )


def _check_version(tip: Tip, tag: VersionTag, before: BranchState, rules: BranchRules) -> None:
    revision, taken = tip.commit.revision, before.taken
    if taken == revision:
        return
    former = None if before.taken_tag is None else parse_version(before.taken_tag)
    if former is not None and tag.version.key < former.key:
        raise UserError(
            TAG_GONE,
            f"{before.taken_tag} is gone, and the newest version is {tag.name}, which is older",
            why="what is deployed stays, because a version is not taken back by taking its tag away",
            next=f"tag a version that is newer than {before.taken_tag}, or go back on purpose: "
            "stagecraft rollback",
        )
    same = former is not None and tag.version == former  # also under another name, as `1.2.3` and `v1.2.3`
    known = taken if same else before.tags.get(tag.name)
    if known in {None, revision} or rules.allow_rewrite:
        return
    raise UserError(
        TAG_MOVED,
        f"{tag.name} was {str(known)[:_SHOWN_DIGITS]} and is {revision[:_SHOWN_DIGITS]} now",
        why="what is deployed stays, because a tag that was moved is taken only where controller.yml says so",
        next=f"tag a newer version, or set {_key(rules)} to true in controller.yml",
    )


def _key(rules: BranchRules) -> str:
    return f"{rules.entry}.allow_rewrite" if rules.entry else "allow_rewrite in an entry of the branch"
