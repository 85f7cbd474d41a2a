"""Rejecting the commit that a branch shows when nobody vouches for it; its environments then show that.

A refusal is recorded once for each commit and rule; what is deployed stays. It is recorded by the
controller, because who wrote a commit that nobody vouches for is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.catalog import Failure
from events.catalog.environment import RenderFailed
from events.catalog.revision import RevisionRejected
from events.kernel.errors import UserError
from events.streams import environment_stream, repository_stream
from gitops.source.trust import RULES, TipQuestion, verify

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.context import Context
    from controller.watching import BranchState, Tip
    from events.recorder import Recorder
    from gitops.source.git import Commit
    from gitops.source.signers import Signer


async def vouched(context: Context, seen: Tip, before: BranchState) -> Signer | None:
    """Who vouches for the tip; None when nobody has to or somebody did before.

    Records a refusal. Raises as `verify`.
    """
    commit = seen.commit
    if before.accepted(commit.revision, seen.verification):
        return None
    question = TipQuestion(
        revision=commit.revision, known=before.revision, tags=seen.tags, now=context.clock.now()
    )
    try:
        return await verify(seen.repository, question, seen.verification)
    except UserError as error:
        if error.code in RULES:
            _reject(context, seen, before, error=error)
        raise


def _reject(context: Context, seen: Tip, before: BranchState, *, error: UserError) -> None:
    """Record that nobody vouches for the tip, and let the environments that the branch led to show it.

    An environment that shows something else, because the process ended between the two or because the commit
    accepted last was deployed meanwhile, is told again.
    """
    commit, recorder = seen.commit, context.recorder()
    if before.rejected != (commit.revision, error.code):
        rejected = RevisionRejected(
            ref=seen.ref, revision=commit.revision, rule=error.code, detail=str(error)
        )
        recorder.append(repository_stream(seen.slug), rejected, expected=before.version)
    untold = [title for title in before.environments if not _shows(context, title, commit, error=error)]
    mark_failed(untold, commit, error=error, recorder=recorder)


def _shows(context: Context, title: str, commit: Commit, *, error: UserError) -> bool:
    """Whether an environment's newest failure is this one."""
    git = context.environment(*title.split("/", 1)).git
    return git.failure is not None and (git.failed_revision, git.failure.code) == (
        commit.revision,
        error.code,
    )


def pseudonymous(context: Context, signer: Signer | None) -> tuple[str | None, str | None]:
    """A signer as the log has them: a principal is a name, so only its pseudonym stands there."""
    if signer is None:
        return (None, None)
    named = context.actors.pseudonym("git", signer.principal) if signer.principal else None
    return (None if named is None else named.id, signer.key)


def mark_failed(environments: Iterable[str], commit: Commit, *, error: UserError, recorder: Recorder) -> None:
    """Tell every environment the branch led to that its newest commit cannot be used."""
    for title in sorted(environments):
        project, _, name = title.partition("/")
        failed = RenderFailed(revision=commit.revision, failure=Failure.from_error(error))
        recorder.append(environment_stream(project, name), failed)
