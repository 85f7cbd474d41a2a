"""Seeing what a watched branch shows, and saying so once.

The tip is compared with the newest `RevisionObserved`; only a commit that was not seen there is fetched and
recorded, with the environments whose inputs it changes. A commit whose `stagecraft.yml` cannot be used is
rejected once; every environment that the branch led to before then shows that the newest commit failed, and
what is deployed stays.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from controller.locks import locked
from controller.rendering import is_affected
from events.catalog import Failure, decode
from events.catalog.environment import RenderFailed
from events.catalog.revision import HistoryRewritten, RevisionObserved, RevisionRejected
from events.kernel.errors import UserError
from events.streams import environment_stream, repository_stream
from gitops.config.load import choose_environments, list_environments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from controller.context import Context
    from events.catalog import Event
    from events.envelope import Actor, StoredEvent
    from events.recorder import Recorder
    from gitops.source.git import Commit, Mirror
    from gitops.source.tree import Tree

_FETCH_DEADLINE_SECONDS = 300.0
_MAX_SUBJECT_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A commit as the tip of a watched branch, and the environments to consider."""

    project: str
    environments: tuple[str, ...]
    revision: str
    tree: Tree
    config_path: str
    author: Actor
    correlation: UUID  # the undertaking that the RevisionObserved of this commit began
    causation: UUID  # that event


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchState:
    """What the repository's stream says of one ref."""

    version: int = 0
    revision: str | None = None
    announced: StoredEvent | None = None  # the RevisionObserved of `revision`
    rejected: str | None = None  # set while `revision` is rejected
    environments: frozenset[str] = frozenset()  # `<project>/<name>`, all that it ever led to


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
                rejected=None,
                environments=state.environments | set(event.affected),
            )
        elif isinstance(event, RevisionRejected) and event.ref == ref:
            state = replace(state, rejected=event.revision)
    return state


async def see(
    context: Context, mirror: Mirror, *, branch: str, environments: Sequence[str], config_path: str
) -> Sighting:
    """What the branch shows now; appends only when it is a commit that was not seen there before.

    Raises OutsideError when the repository cannot be reached, UserError when the branch is missing, its
    `stagecraft.yml` is unusable or `environments` names one that is not in it.
    """
    commit = await _fetch(context, mirror, branch)
    tree = mirror.tree(commit.revision)
    author = context.actors.pseudonym("git", f"{commit.author_name} <{commit.author_email}>")
    stream, ref = repository_stream(mirror.slug), f"refs/heads/{branch}"
    before = fold_branch(context.log.read_stream(stream), ref)
    recorder = context.recorder(author)
    try:
        project, names = await asyncio.to_thread(list_environments, tree, config_path)
    except UserError as error:
        if before.revision != commit.revision:
            observed = _observed(ref, commit, before=before, author=author, affected=before.environments)
            rejected = RevisionRejected(ref=ref, revision=commit.revision, rule=error.code, detail=str(error))
            recorder.append(
                stream,
                *_rewritten(mirror, ref, commit, before=before),
                observed,
                rejected,
                expected=before.version,
            )
            _mark_failed(before.environments, commit, error=error, recorder=recorder)
        raise
    if before.revision != commit.revision:
        affected = await asyncio.to_thread(_affected, context, project, names, tree=tree)
        observed = _observed(ref, commit, before=before, author=author, affected=affected)
        recorder.append(
            stream, *_rewritten(mirror, ref, commit, before=before), observed, expected=before.version
        )
    now = fold_branch(context.log.read_stream(stream), ref)
    assert now.announced is not None  # the event appended above, or the one it was found equal to
    return Sighting(
        project=project,
        environments=choose_environments(names, environments),
        revision=commit.revision,
        tree=tree,
        config_path=config_path,
        author=author,
        correlation=now.announced.correlation,
        causation=now.announced.id,
    )


async def _fetch(context: Context, mirror: Mirror, branch: str) -> Commit:
    """The commit at the tip, brought into the mirror when it is not there yet."""
    head = await asyncio.to_thread(mirror.remote_head, branch)
    if not await asyncio.to_thread(mirror.has, head):
        async with locked(
            context.home.run,
            f"mirror/{mirror.slug}",
            clock=context.clock,
            purpose=f"fetching {branch}",
            deadline_seconds=_FETCH_DEADLINE_SECONDS,
        ):
            context.progress(f"fetching {branch} at {head[:12]}")
            await asyncio.to_thread(mirror.fetch, branch)
    return await asyncio.to_thread(mirror.commit, head)


def _affected(context: Context, project: str, names: Iterable[str], *, tree: Tree) -> frozenset[str]:
    return frozenset(
        f"{project}/{name}" for name in names if is_affected(context.environment(project, name), tree)
    )


def _observed(
    ref: str, commit: Commit, *, before: BranchState, author: Actor, affected: Iterable[str]
) -> RevisionObserved:
    return RevisionObserved(
        ref=ref,
        revision=commit.revision,
        previous=before.revision,
        tree=commit.tree,
        author=author.id,
        subject=commit.subject[:_MAX_SUBJECT_CHARACTERS],
        affected=tuple(sorted(affected)),
    )


def _rewritten(mirror: Mirror, ref: str, commit: Commit, *, before: BranchState) -> tuple[Event, ...]:
    """The event that says that the branch did not simply move on, if it did not."""
    if before.revision is None or mirror.is_ancestor(before.revision, commit.revision):
        return ()
    return (HistoryRewritten(ref=ref, previous=before.revision, revision=commit.revision),)


def _mark_failed(
    environments: Iterable[str], commit: Commit, *, error: UserError, recorder: Recorder
) -> None:
    """Tell every environment the branch led to that its newest commit cannot be used."""
    for title in sorted(environments):
        project, _, name = title.partition("/")
        failed = RenderFailed(revision=commit.revision, failure=Failure.from_error(error))
        recorder.append(environment_stream(project, name), failed)
