"""Seeing what a watched branch shows, and saying so once.

The tip is compared with the newest `RevisionObserved`; only a commit that was not seen there is fetched and
recorded, with the environments whose inputs it changes. A commit whose `stagecraft.yml` cannot be used is
rejected once; every environment that the branch led to before then shows that the newest commit failed, and
what is deployed stays.

Where the operator wants commits verified, that comes first: of a commit that nobody vouches for nothing is
read, and no `RevisionObserved` speaks of it, so the next commit is compared with the one that was accepted
last. Each look asks again, because a tag may have come or the operator's files may have changed. A commit
that was seen while nothing was verified is verified by the first look that should, and rejected like any
other; that it is deployed does not change.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from controller.locks import locked
from controller.rejecting import mark_failed, pseudonymous, vouched
from controller.rendering import shown_unchanged
from controller.reverting import recorded_with, taken_back
from controller.targets import choose_environments
from events.catalog import decode
from events.catalog.revision import HistoryRewritten, RevisionObserved, RevisionRejected
from events.kernel.errors import UserError
from events.streams import repository_stream
from gitops.config.load import list_environments

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from uuid import UUID

    from controller.context import Context
    from controller.repositories import Watched
    from events.catalog import Event
    from events.envelope import Actor, StoredEvent
    from events.log import EventLog
    from gitops.source.git import Commit, Repository
    from gitops.source.gittree import GitTree
    from gitops.source.mirror import TagRef
    from gitops.source.tree import Tree
    from gitops.source.trust import Verification

_FETCH_DEADLINE_SECONDS = 300.0
_MAX_SUBJECT_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A commit as the tip of a watched branch, and the environments to consider."""

    project: str
    environments: tuple[str, ...]
    revision: str
    tree: GitTree
    config_path: str
    author: Actor
    correlation: UUID  # the undertaking that the RevisionObserved of this commit began
    causation: UUID  # that event
    ref: str = ""  # fully qualified
    gone: tuple[str, ...] = ()  # `<project>/<name>` of all that it led to before and does not declare
    gone_here: tuple[str, ...] = ()  # those of them to consider
    newest: bool = True  # False: the branch shows a newer commit, which cannot be used
    takes_back: tuple[str, ...] = ()  # commits shown before that it reverts, by its messages


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchState:
    """What the repository's stream says of one ref."""

    version: int = 0
    revision: str | None = None
    announced: StoredEvent | None = None  # the RevisionObserved of `revision`
    environments: frozenset[str] = frozenset()  # `<project>/<name>`, all that it ever led to
    verified: bool = False  # `revision`
    rejected: tuple[str, str] | None = None  # what was refused since: a commit and the rule

    def accepted(self, revision: str, verification: Verification) -> bool:
        """Whether nothing more is to be asked about a commit."""
        return not verification.wanted or (self.verified and self.revision == revision)


def fold_branch(stored: Iterable[StoredEvent], ref: str) -> BranchState:
    """The state of `ref` after the events of its repository's stream."""
    state = BranchState()
    for one in stored:
        event = decode(one)
        state = replace(state, version=one.version)
        if isinstance(event, RevisionObserved) and event.ref == ref:
            state = replace(
                state,
                revision=event.revision,
                announced=one,
                environments=state.environments | set(event.affected),
                verified=event.signing_key is not None,
                rejected=None,
            )
        elif isinstance(event, RevisionRejected) and event.ref == ref:
            state = replace(state, rejected=(event.revision, event.rule))
    return state


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """The commit that a watched branch points at, in the open mirror; whoever fetched it closes that."""

    slug: str
    ref: str  # fully qualified
    commit: Commit
    repository: Repository
    verification: Verification
    tags: tuple[TagRef, ...] = ()  # those that could vouch for it


async def fetch_tip(context: Context, watched: Watched, branch: str, *, verification: Verification) -> Tip:
    """Where the branch points now; the commit is fetched unless the mirror has it.

    So are the tags that point at it, when one of them has to vouch for it.

    Raises OutsideError when the repository cannot be reached and UserError when the branch is missing.
    """
    head = await watched.mirror.remote_head(branch)
    repository = watched.mirror.existing()
    if repository is None or not repository.has(head):
        if repository is not None:
            repository.close()
        async with locked(
            context.home.run,
            f"mirror/{watched.slug}",
            clock=context.clock,
            purpose=f"fetching {branch}",
            deadline_seconds=_FETCH_DEADLINE_SECONDS,
        ):
            context.progress(f"fetching {branch} at {head[:12]}")
            head = await watched.mirror.fetch(branch)
        repository = watched.mirror.repository()
    ref = f"refs/heads/{branch}"
    tags: tuple[TagRef, ...] = ()
    try:
        commit = await asyncio.to_thread(repository.resolve, head)
        before = fold_branch(context.log.read_stream(repository_stream(watched.slug)), ref)
        if verification.mode == "tag" and not before.accepted(commit.revision, verification):
            tags = await watched.mirror.annotated_tags(commit.revision)
    except BaseException:
        repository.close()
        raise
    return Tip(
        slug=watched.slug,
        ref=ref,
        commit=commit,
        repository=repository,
        verification=verification,
        tags=tags,
    )


async def see(
    context: Context,
    seen: Tip,
    *,
    environments: Sequence[str],
    config_path: str,
) -> Sighting:
    """Say what the branch shows; appends only when it is a commit that was not seen there before.

    Raises UserError when nobody vouches for it, when its `stagecraft.yml` is unusable, or when `environments`
    names one that is not in it; what `verify` raises besides is no word about the commit and is not recorded.
    """
    commit, ref = seen.commit, seen.ref
    stream = repository_stream(seen.slug)
    before = fold_branch(context.log.read_stream(stream), ref)
    signer = await vouched(context, seen, before)
    tree = seen.repository.tree(commit.revision)
    author = context.actors.pseudonym("git", commit.author_name, commit.author_email)
    recorder = context.recorder(author)
    announcement = _Announcement(
        tip=seen,
        before=before,
        author=author,
        signature=pseudonymous(context, signer),
        log=context.log,
    )
    news = before.revision != commit.revision or signer is not None
    try:
        project, names = await asyncio.to_thread(list_environments, tree, config_path)
    except UserError as error:
        if news:
            rejected = RevisionRejected(ref=ref, revision=commit.revision, rule=error.code, detail=str(error))
            events = (*announcement.events(before.environments), rejected)
            recorder.append(stream, *events, expected=before.version)
            mark_failed(before.environments, commit, error=error, recorder=recorder)
        raise
    announced = before.announced
    if announced is None or news:
        affected = await asyncio.to_thread(_affected, context, project, names, tree=tree)
        declared = [f"{project}/{name}" for name in names]
        events = announcement.events(affected, declared=declared)
        announced = recorder.append(stream, *events, expected=before.version)[-1]
    gone = _gone(
        context, before.environments - {f"{project}/{name}" for name in names}, slug=seen.slug, ref=ref
    )
    named = [one for one in environments if not any(_means(one, title) for title in gone)]
    return Sighting(
        project=project,
        environments=choose_environments(names, named, project=project) if named or not environments else (),
        ref=ref,
        gone=gone,
        gone_here=tuple(
            one for one in gone if not environments or any(_means(wish, one) for wish in environments)
        ),
        revision=commit.revision,
        tree=tree,
        config_path=config_path,
        author=author,
        correlation=announced.correlation,
        causation=announced.id,
        takes_back=recorded_with(announced),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Announcement:
    """A commit that the branch shows for the first time."""

    tip: Tip
    before: BranchState
    author: Actor
    log: EventLog
    signature: tuple[str | None, str | None] = (None, None)  # pseudonym of the signer, and the key

    def events(self, affected: Iterable[str], *, declared: Iterable[str] = ()) -> tuple[Event, ...]:
        """That it was seen, and before that, if so, that the branch did not simply move on."""
        ref, commit = self.tip.ref, self.tip.commit
        observed = RevisionObserved(
            ref=ref,
            revision=commit.revision,
            previous=self.before.revision,
            tree=commit.tree,
            author=self.author.id,
            subject=commit.subject[:_MAX_SUBJECT_CHARACTERS],
            affected=tuple(sorted(affected)),
            declared=tuple(sorted(declared)),
            signer=self.signature[0],
            signing_key=self.signature[1],
            takes_back=taken_back(
                self.tip.repository,
                commit.revision,
                ref=ref,
                stored=self.log.read_stream(repository_stream(self.tip.slug)),
            ),
        )
        previous = self.before.revision
        if previous is None or self.tip.repository.is_ancestor(previous, commit.revision):
            return (observed,)
        return (HistoryRewritten(ref=ref, previous=previous, revision=commit.revision), observed)


def _affected(context: Context, project: str, names: Iterable[str], *, tree: Tree) -> frozenset[str]:
    return frozenset(
        f"{project}/{name}"
        for name in names
        if shown_unchanged(context.environment(project, name), tree) is None
    )


def _gone(context: Context, absent: Collection[str], *, slug: str, ref: str) -> tuple[str, ...]:
    """Those of `absent` that no other watched branch ever declared: nobody else may still want them."""
    if not absent:
        return ()
    elsewhere = {
        title
        for stored in context.log.read(type_name=RevisionObserved.__name__)
        if isinstance(event := decode(stored), RevisionObserved)
        and (stored.stream, event.ref) != (repository_stream(slug), ref)
        for title in (*event.affected, *event.declared)
    }
    return tuple(sorted(set(absent) - elsewhere))


def _means(wish: str, title: str) -> bool:
    """Whether `prod` or `shop/prod` means the environment `title`."""
    return wish in {title, title.partition("/")[2]}
