"""Seeing what a watched branch shows, and saying so once.

The tip is compared with the newest `RevisionObserved`; only a commit that was not seen there is fetched and
recorded, with the environments whose inputs it changes. A commit that is refused, because its history was
rewritten or its `stagecraft.yml` cannot be used, is rejected once; every environment of the branch then
shows that the newest commit failed, and what is deployed stays.

Where the operator wants commits verified, that comes first: of a commit that nobody vouches for nothing is
read. Each look asks again, because a tag may have come or the operator's files may have changed. A commit
that was seen while nothing was verified is verified by the first look that should, and rejected like any
other; that it is deployed does not change.

What the branch declares and another branch declared first is left out, once on the record.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from controller.announcing import Announcement
from controller.branch_keys import BranchKey, means
from controller.candidates import shown_unchanged
from controller.heads import Head, ask_head, check_history, fetch_head, own_tags
from controller.locks import locked
from controller.repositories import BranchRules
from controller.reverting import recorded_with
from controller.targets import choose_environments
from controller.trusting import check_trust, pseudonymous, tags_for
from events.envelope import CONTROLLER
from events.kernel.errors import StagecraftError, UserError
from events.refs import shown_ref
from gitops.config.load import list_environments
from gitops.source.gitcommand import GIT_FAILED
from gitops.source.trust import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from controller.context import Context
    from controller.repositories import WatchedBranch
    from events.envelope import Actor
    from gitops.source.git import Commit, Repository
    from gitops.source.gittree import GitTree
    from gitops.source.mirror import TagRef
    from gitops.source.tags import VersionTag
    from gitops.source.tree import Tree

_FETCH_DEADLINE_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Which environments of a branch somebody wants, each as `prod` or `shop/prod`."""

    environments: Sequence[str] = ()  # each must be there; empty: all
    only: Sequence[str] = ()  # of those, the ones to consider; none need be there; empty: all

    def needed(self, title: str) -> bool:
        """Whether the environment is deployed from this branch at all."""
        return not self.environments or any(means(one, title) for one in self.environments)

    def wanted(self, title: str) -> bool:
        """Whether the environment is to be considered."""
        return self.needed(title) and (not self.only or any(means(one, title) for one in self.only))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A commit as the tip of a watched branch, and the environments to consider."""

    project: str
    declared: tuple[str, ...]  # names of all its environments
    environments: tuple[str, ...]  # names of those to consider
    revision: str
    tree: GitTree
    config_path: str
    author: Actor
    correlation: UUID  # the undertaking that the RevisionObserved of this commit began
    causation: UUID  # that event
    slug: str = ""  # of the repository
    ref: str = ""  # fully qualified
    tag: str | None = None  # that names the version, where tags are watched
    gone: tuple[str, ...] = ()  # `<project>/<name>` of all that it led to before and does not declare
    gone_here: tuple[str, ...] = ()  # those of them to consider
    left_out: tuple[tuple[str, BranchKey], ...] = ()  # `<project>/<name>` and the branch that has it
    rules: BranchRules = field(default_factory=BranchRules)
    takes_back: tuple[str, ...] = ()  # commits shown before that it reverts, by its messages

    @property
    def titles(self) -> list[str]:
        """`<project>/<name>` of all to consider."""
        return [*(f"{self.project}/{name}" for name in self.environments), *self.gone_here]

    @property
    def key(self) -> BranchKey:
        """The branch."""
        return BranchKey(self.slug, self.ref)

    def left_out_words(self) -> list[str]:
        """A line for each environment that another branch has."""
        name = shown_ref(self.ref)
        return [
            f"{title} is left out of {name}: {owner} declared it first and has it; `repositories` in "
            "controller.yml can give it to another branch"
            for title, owner in self.left_out
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """The commit that a watched branch points at, in the open mirror; whoever fetched it closes that."""

    slug: str
    ref: str  # fully qualified
    commit: Commit
    repository: Repository
    tag: VersionTag | None = None  # that names the version, where tags are watched
    tags: tuple[TagRef, ...] = ()  # those that could vouch for it

    @property
    def key(self) -> BranchKey:
        """The branch."""
        return BranchKey(self.slug, self.ref)


async def head_of(place: WatchedBranch) -> Head:
    """Where the branch points now, by one question.

    Raises OutsideError when the repository cannot be reached and UserError when the branch is missing, or no
    tag is in the range.
    """
    return await ask_head(place.watched.mirror, place)


def note_answer(context: Context, place: WatchedBranch) -> None:
    """Keep that the branch answered now."""
    context.observed.note_answer(*place.key, url=place.watched.shown, at=context.clock.now())


async def fetch_tip(context: Context, place: WatchedBranch, head: Head) -> Tip:
    """The commit that `head_of` answered, which is fetched unless the mirror has it.

    So are the tags that point at it, when one of them has to vouch for it. A branch that moved on meanwhile
    gives the newer commit. Raises as `head_of`.
    """
    watched, name = place.watched, place.key.shown
    repository = watched.mirror.existing()
    if repository is None or not (_here(repository, head) and await watched.mirror.has_files(head.revision)):
        if repository is not None:
            repository.close()
        async with locked(
            context.home.run,
            f"mirror/{watched.slug}",
            clock=context.clock,
            purpose=f"fetching {name}",
            deadline_seconds=_FETCH_DEADLINE_SECONDS,
        ):
            context.progress(f"fetching {name} at {head.shown}")
            head = await fetch_head(watched.mirror, place, head)
        repository = watched.mirror.repository()
    try:
        commit = await asyncio.to_thread(repository.resolve, head.revision)
        before = context.branches.of(context.log, place.key)
        tags = own_tags(head) if head.tag else await tags_for(place, commit.revision, before)
    except StagecraftError as error:
        repository.close()
        if await healed(context, place, error):
            return await fetch_tip(context, place, head)
        raise
    except BaseException:
        repository.close()
        raise
    return Tip(
        slug=place.key.slug,
        ref=place.key.ref,
        commit=commit,
        repository=repository,
        tag=head.tag,
        tags=tags,
    )


def _here(repository: Repository, head: Head) -> bool:
    """Whether the mirror has the commit, and the tag that names it."""
    return repository.has(head.revision) and (head.tag is None or repository.has(head.tag.object_id))


async def healed(context: Context, place: WatchedBranch, error: StagecraftError) -> bool:
    """Whether an error came of a damaged mirror, which is gone now; another look makes it anew.

    Raises OutsideError `git-failed` when it cannot be taken away.
    """
    if error.code != GIT_FAILED or not await place.watched.mirror.heal():
        return False
    context.progress(f"the mirror of {place.watched.slug} was damaged ({error.message}); it is made anew")
    return True


async def see(
    context: Context,
    seen: Tip,
    *,
    config_path: str,
    wishes: Wishes | None = None,
    rules: BranchRules | None = None,
) -> Sighting:
    """Say what the branch shows; appends only when it is a commit that was not seen there before.

    Raises UserError when the commit is refused, its `stagecraft.yml` is unusable or `wishes` need an
    environment that is not in it; what `verify` raises besides is no word about the commit and is not
    recorded.
    """
    wishes, rules = wishes or Wishes(), rules or BranchRules()
    commit = seen.commit
    before = context.branches.of(context.log, seen.key)
    told = Announcement(
        context=context,
        key=seen.key,
        commit=commit,
        repository=seen.repository,
        before=before,
        author=CONTROLLER,
        rules=rules,
        tag=None if seen.tag is None else seen.tag.name,
    )
    try:
        signer = await check_trust(seen, before, rules, now=context.clock.now())
    except UserError as error:
        if error.code in RULES:
            told.refuse(error)
        raise
    author = context.actors.pseudonym("git", commit.author_name, commit.author_email)
    told = replace(told, author=author, signature=pseudonymous(context, signer))
    tree = seen.repository.tree(commit.revision)
    try:
        check_history(seen, before, rules)
        project, names = await asyncio.to_thread(list_environments, tree, config_path)
    except UserError as error:
        told.reject(error)
        raise
    declared = [f"{project}/{name}" for name in names]
    wanted = [title for title in declared if wishes.needed(title)]
    changed: frozenset[str] = frozenset()
    if told.news:
        changed = await asyncio.to_thread(_affected, context, wanted, tree=tree)
    told.observe(declared, wanted=wanted, changed=changed)
    now = context.branches.of(context.log, seen.key)
    announced = now.announced
    if announced is None:
        raise AssertionError("what was just observed is in the log")
    sighting = Sighting(
        project=project,
        declared=tuple(names),
        environments=(),
        slug=seen.slug,
        ref=seen.ref,
        tag=told.tag,
        revision=commit.revision,
        tree=tree,
        config_path=config_path,
        author=author,
        correlation=announced.correlation,
        causation=announced.id,
        rules=rules,
        takes_back=recorded_with(announced),
    )
    return shared_out(context, seen.key, sighting, wishes)


def shared_out(context: Context, key: BranchKey, sighting: Sighting, wishes: Wishes) -> Sighting:
    """`sighting` with the environments that are the branch's by what the log says now.

    Raises UserError `environment-unknown` when `wishes` need one that it does not have.
    """
    others = context.branches.others(context.log, key, among=sighting.rules.rivals)
    project, names = sighting.project, sighting.declared
    declared = {f"{project}/{name}" for name in names}
    led_to = context.branches.of(context.log, key).environments
    absent = led_to - declared
    gone = tuple(sorted(title for title in absent if title not in others))
    needed = [one for one in wishes.environments if not any(means(one, title) for title in absent)]
    chosen = choose_environments(names, needed, project=project) if needed or not wishes.environments else ()
    mine = [name for name in chosen if wishes.wanted(f"{project}/{name}")]
    return replace(
        sighting,
        environments=tuple(name for name in mine if f"{project}/{name}" not in others),
        left_out=tuple((title, others[title]) for name in mine if (title := f"{project}/{name}") in others),
        gone=gone,
        gone_here=tuple(title for title in gone if wishes.wanted(title)),
    )


def overtaken(context: Context, sighting: Sighting) -> bool:
    """Whether the branch was seen at another commit since: what it showed before decides nothing any more."""
    known = context.branches.of(context.log, sighting.key).revision
    return known not in {None, sighting.revision}


def _affected(context: Context, titles: Iterable[str], *, tree: Tree) -> frozenset[str]:
    return frozenset(
        title for title in titles if shown_unchanged(context.environment(*title.split("/", 1)), tree) is None
    )
