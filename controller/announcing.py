"""Telling the log what a branch showed: that a commit was seen, taken or refused, and what is not its own.

Each thing is told once: a look that finds what the log says already appends nothing. All of it stands in the
repository's stream, with the version that was read, so two who look at the same time cannot both tell it.
A refusal stands in the environments' streams too, and again should a crash have come between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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

    from controller.branches import BranchState
    from controller.context import Context
    from controller.repositories import BranchKey, BranchRules
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
    author: Actor
    rules: BranchRules

    @property
    def news(self) -> bool:
        """Whether the commit was not seen on this branch before, or was refused when it was."""
        return self.before.revision != self.commit.revision or self.before.rejected is not None

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
        commit, others = self.commit, self._others()
        mine = sorted(title for title in self.before.environments if title not in others)
        rejected = RevisionRejected(
            ref=self.key.ref, revision=commit.revision, rule=error.code, detail=str(error)
        )
        seen = self.before.revision == commit.revision
        recorder = self._recorder()
        if not seen or self.before.rejected != error.code:
            events = [] if seen else self._observed(mine)
            recorder.append(repository_stream(self.key.slug), *events, rejected, expected=self.before.version)
        failed = RenderFailed(revision=commit.revision, failure=Failure.from_error(error))
        for title in mine:
            project, _, name = title.partition("/")
            git = self.context.environment(project, name).git
            if (git.failed_revision, git.failure and git.failure.code) != (commit.revision, error.code):
                recorder.append(environment_stream(project, name), failed)

    def _observed(
        self,
        affected: Iterable[str],
        *,
        declared: Iterable[str] = (),
        wanted: Iterable[str] | None = None,
    ) -> list[Event]:
        """That it was seen, and before that, if so, that the branch did not simply move on."""
        ref, commit, previous = self.key.ref, self.commit, self.before.revision
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
        )
        if previous is None or self.repository.is_ancestor(previous, commit.revision):
            return [observed]
        return [HistoryRewritten(ref=ref, previous=previous, revision=commit.revision), observed]

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

    def _others(self) -> Mapping[str, BranchKey]:
        """The environments that belong to other branches now."""
        return self.context.branches.others(self.context.log, self.key, among=self.rules.rivals)

    def _recorder(self) -> Recorder:
        return self.context.recorder(self.author)
