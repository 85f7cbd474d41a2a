"""Telling the log what a branch showed: that a commit was seen, taken or refused, and what is not its own.

Each thing is told once: a look that finds what the log says already appends nothing. All of it stands in the
repository's stream, with the version that was read, so two who look at the same time cannot both tell it.
A refusal stands in the environments' streams too, and again should a crash have come between, or should they
have come to show something else meanwhile.

Of a commit that nobody vouches for only the refusal is told, and by the controller, because who wrote it is
not known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.branches import Signature
from controller.reverting import recorded_with, taken_back
from events.catalog import Failure
from events.catalog.environment import RenderFailed
from events.catalog.revision import (
    EnvironmentLeftOut,
    HistoryRewritten,
    RevisionObserved,
    RevisionRejected,
)
from events.streams import environment_stream, repository_stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controller.branch_keys import BranchKey
    from controller.branches import BranchState
    from controller.context import Context
    from controller.repositories import BranchRules
    from events.catalog import Event
    from events.envelope import Actor
    from events.kernel.errors import UserError
    from events.recorder import Recorder
    from gitops.source.git import Commit, Repository

_MAX_SUBJECT_CHARACTERS = 200


@dataclass(slots=True, kw_only=True)
class Announcement:
    """What the log is to be told of a commit, each thing once."""

    context: Context
    key: BranchKey
    commit: Commit
    repository: Repository
    before: BranchState
    author: Actor  # as whom it is told
    rules: BranchRules
    tag: str | None = None  # that names the version, where tags are watched
    signature: Signature = field(default_factory=Signature)  # who vouches for it since this look

    @property
    def news(self) -> bool:
        """Whether it was not seen, or not verified, on this branch before, or was refused when it was."""
        return self._fresh or self.before.rejected is not None

    @property
    def _again(self) -> bool:
        return self.before.revision == self.commit.revision

    @property
    def _fresh(self) -> bool:
        vouched = self.signature.key is not None and self.signature != self.before.signature
        return vouched or not self._again or self.tag != self.before.tag

    def observe(self, declared: Sequence[str], *, wanted: Sequence[str], changed: Iterable[str]) -> None:
        """That the commit was seen and taken, and what of it belongs to other branches.

        `wanted` are those of `declared` that are deployed from this branch, `changed` those of them whose
        inputs changed.
        """
        self._read()
        others = self._others()
        left_out = [title for title in wanted if title in others]
        events: list[Event] = []
        if self.news:
            affected = sorted(set(changed) - set(left_out))
            events += self._observed(affected, declared=sorted(declared), wanted=sorted(wanted))
        for title in left_out:
            if (title, others[title]) not in self.before.left_out:
                events.append(self._left_out(title, others[title]))
        if events:
            self._recorder().append(repository_stream(self.key.slug), *events, expected=self.before.version)

    def reject(self, error: UserError) -> None:
        """That the commit was seen and not taken, here and in every environment of the branch."""
        self._read()
        if self._fresh or self.before.rejected != error.code:
            self._rejected(error, *(self._observed(self._mine()) if self._fresh else ()))
        self._mark_failed(error)

    def refuse(self, error: UserError) -> None:
        """That nobody vouches for the commit, here and in every environment of the branch; nothing else."""
        self._read()
        if not self.before.refuses(self.commit.revision, error.code):
            self._rejected(error)
        self._mark_failed(error)

    def _rejected(self, error: UserError, *before: Event) -> None:
        rejected = RevisionRejected(
            ref=self.key.ref,
            revision=self.commit.revision,
            rule=error.code,
            detail=str(error),
            tag=self.tag,
        )
        stream = repository_stream(self.key.slug)
        self._recorder().append(stream, *before, rejected, expected=self.before.version)

    def _mark_failed(self, error: UserError) -> None:
        """Let the environments of the branch show that its newest commit is not taken, unless they do."""
        revision = self.commit.revision
        failed = RenderFailed(revision=revision, failure=Failure.from_error(error), rule=error.code)
        for title in self._mine():
            project, _, name = title.partition("/")
            git = self.context.environment(project, name).git
            if (git.failed_revision, git.failure and git.failure.code) != (revision, error.code):
                self._recorder().append(environment_stream(project, name), failed)

    def _observed(
        self,
        affected: Iterable[str],
        *,
        declared: Iterable[str] = (),
        wanted: Iterable[str] | None = None,
    ) -> list[Event]:
        """That it was seen, and before that, if so, that the branch did not simply move on."""
        ref, commit, previous = self.key.ref, self.commit, self.before.revision
        signature = self.before.signature if self._again and not self.signature.key else self.signature
        observed = RevisionObserved(
            ref=ref,
            revision=commit.revision,
            previous=previous,
            tree=commit.tree,
            author=self.author.id,
            subject=commit.subject[:_MAX_SUBJECT_CHARACTERS],
            affected=tuple(affected),
            declared=tuple(declared),
            wanted=None if wanted is None else tuple(wanted),
            signer=signature.signer,
            signing_key=signature.key,
            takes_back=self._takes_back(),
            tag=self.tag,
            committed_at=commit.committed_at,
        )
        rewritten = self._rewritten()
        if rewritten is None:
            return [observed]
        return [
            HistoryRewritten(ref=ref, previous=rewritten, revision=commit.revision, tag=self.tag),
            observed,
        ]

    def _rewritten(self) -> str | None:
        """What the branch or the tag, by its name, pointed at and was taken away from; None: nothing was."""
        previous = self.before.revision
        if self._again or previous is None:
            return None
        if self.tag is not None:
            moved = self.before.tags.get(self.tag)
            return None if moved == self.commit.revision else moved
        return None if self.repository.is_ancestor(previous, self.commit.revision) else previous

    def _takes_back(self) -> tuple[str, ...]:
        """What the commit takes back, which is found out when it is first seen."""
        if self._again and self.before.announced is not None:
            return recorded_with(self.before.announced)
        return taken_back(
            self.repository,
            self.commit.revision,
            ref=self.key.ref,
            since=self.before.taken,
            stored=self.context.log.read_stream(repository_stream(self.key.slug)),
        )

    def _left_out(self, title: str, owner: BranchKey) -> EnvironmentLeftOut:
        return EnvironmentLeftOut(
            ref=self.key.ref,
            revision=self.commit.revision,
            environment=title,
            owner=owner.slug,
            owner_ref=owner.ref,
        )

    def _read(self) -> None:
        """The newest state: other branches of the repository may have been told of since."""
        self.before = self.context.branches.of(self.context.log, self.key)

    def _mine(self) -> list[str]:
        """The environments that the branch led to and no other one has."""
        others = self._others()
        return sorted(title for title in self.before.environments if title not in others)

    def _others(self) -> Mapping[str, BranchKey]:
        """The environments that belong to other branches now."""
        return self.context.branches.others(self.context.log, self.key, among=self.rules.rivals)

    def _recorder(self) -> Recorder:
        return self.context.recorder(self.author)
