"""What the log says of the branches that are or were watched, kept so that only newer events are folded.

A branch *claims* the environments that its newest usable commit declares and that are deployed from it. An
environment belongs to one branch: to the one whose claim is the oldest, for as long as that branch declares
it. What two branches claim is thereby decided by the log alone, the same way by everybody who asks, and
nothing changes hands because a poll was quicker.

Where the operator lists the branches, only those count, and what each of them wants is what the list says
now. So an environment is handed over by the list, or by a commit that no longer declares it.

A commit that was refused claims nothing, gives nothing up, and is not what the next one has to follow:
*taken* is the newest commit that was not refused. One that was taken and is refused later, because commits
are verified from then on, keeps its claims, since what is deployed came from it; yet it is not followed any
more, so it can be signed and pushed again.

Of a commit that nobody vouches for nothing is read, and no `RevisionObserved` speaks of it: it never becomes
the revision of its branch, only the one that was *refused* since.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from controller.branch_keys import BranchKey, Rivals, means
from events.catalog import decode
from events.catalog.revision import EnvironmentLeftOut, RevisionObserved, RevisionRejected
from events.streams import repository_stream, split_repository

if TYPE_CHECKING:
    from events.catalog import Event
    from events.envelope import StoredEvent
    from events.log import EventLog
    from events.streams import StreamName
    from gitops.source.trust import Verification

Since = Mapping[str, int]
"""By environment, `<project>/<name>`: the position of the event since which something is so."""


class Signature(NamedTuple):
    """Who vouches for a commit, as the log has it."""

    signer: str | None = None  # a pseudonym; None: the key alone says who
    key: str | None = None  # its fingerprint; None: nobody was asked


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchState:
    """One branch after all events of its repository's stream; `version` is that stream's."""

    version: int = 0
    revision: str | None = None  # the newest that was seen
    tag: str | None = None  # under which it was seen, where tags are watched
    rejected: str | None = None  # the rule that refused it; None: it was taken
    refused: tuple[str, str] | None = None  # a commit that nobody vouches for, seen since, and the rule
    signature: Signature = field(default_factory=Signature)  # who vouches for `revision`
    taken: str | None = None
    taken_tag: str | None = None  # of `taken`
    tags: Mapping[str, str] = field(default_factory=dict[str, str])  # see `Branches.of`
    listed: bool = False  # `revision` could be used when it was seen, whatever became of it
    announced: StoredEvent | None = None  # the RevisionObserved of `revision`
    environments: frozenset[str] = frozenset()  # all that it ever led to
    declared: Since = field(default_factory=dict[str, int])  # by the newest commit that was taken
    claims: Since = field(default_factory=dict[str, int])  # those of them that are deployed from here
    left_out: frozenset[tuple[str, BranchKey]] = frozenset()  # what was told: an environment and whose it is
    before: BranchState | None = None  # without the commit that was seen last, in case it is refused

    def accepted(self, revision: str, verification: Verification, *, tag: str | None = None) -> bool:
        """Whether nobody has to vouch for a commit, or somebody did when it was seen under this tag."""
        seen = (self.revision, self.tag) == (revision, tag)
        return not verification.wanted or (self.signature.key is not None and seen)

    def refuses(self, revision: str, rule: str) -> bool:
        """Whether it was told already that a rule refuses a commit."""
        return (revision, rule) in {self.refused, (self.revision, self.rejected)}


def apply_event(state: BranchState, event: Event, stored: StoredEvent) -> BranchState:
    """The state after an event about this branch."""
    match event:
        case RevisionObserved():
            return _observed(state, event, stored)
        case RevisionRejected() if event.revision == state.revision:
            kept = state.before or BranchState()
            claiming = state if state.listed else kept
            return replace(
                state,
                rejected=event.rule,
                taken=kept.taken,
                taken_tag=kept.taken_tag,
                declared=claiming.declared,
                claims=claiming.claims,
            )
        case RevisionRejected():
            return replace(state, refused=(event.revision, event.rule))
        case EnvironmentLeftOut():
            told = (event.environment, BranchKey(event.owner, event.owner_ref))
            return replace(state, left_out=state.left_out | {told})
        case _:
            return state


def _observed(state: BranchState, event: RevisionObserved, stored: StoredEvent) -> BranchState:
    """A commit was seen, or one that was seen before is taken or verified now."""
    again = event.revision == state.revision
    # An event of an older version, or of a commit that cannot be used, has no lists of its own.
    titles = event.declared or (*state.declared, *(() if again else event.affected))
    wanted = {*(titles if event.wanted is None else event.wanted), *state.claims}
    declared = {title: state.declared.get(title, stored.position) for title in titles}
    return replace(
        state,
        revision=event.revision,
        tag=event.tag,
        rejected=None,
        refused=None,
        signature=Signature(event.signer, event.signing_key),
        taken=event.revision,
        taken_tag=event.tag,
        listed=event.wanted is not None or bool(event.declared) or (again and state.listed),
        announced=stored,
        environments=state.environments | set(event.affected),
        declared=declared,
        claims={title: state.claims.get(title, stored.position) for title in titles if title in wanted},
        left_out=frozenset(told for told in state.left_out if told[0] in declared),
        before=state.before if again else replace(state, before=None, announced=None),
    )


def _ranks(
    branch: BranchKey, state: BranchState, among: Rivals | None
) -> Iterator[tuple[str, tuple[bool, int, BranchKey]]]:
    """What a branch wants now, and how early: the smallest rank owns. A claim goes before a new wish."""
    if among is not None and branch not in among:
        return
    wishes = None if among is None else among[branch]
    for title, since in (state.claims if wishes is None else state.declared).items():
        if not wishes or any(means(wish, title) for wish in wishes):
            yield title, (title not in state.claims, state.claims.get(title, since), branch)


@dataclass(slots=True)
class _Repository:
    version: int = 0
    branches: dict[str, BranchState] = field(default_factory=dict[str, BranchState])  # by ref


@dataclass(slots=True)
class Branches:
    """Of one log at a time; threads may share it."""

    _log: EventLog | None = None
    _head: int = 0
    _repositories: dict[StreamName, _Repository] = field(default_factory=dict["StreamName", _Repository])
    _alone: threading.Lock = field(default_factory=threading.Lock)

    def of(self, log: EventLog, key: BranchKey) -> BranchState:
        """The branch after all events that the log has now.

        With what the tags were taken for that are, or were, the newest ones of any range of the repository.
        """
        with self._alone:
            self._refresh(log)
            known = self._repositories.get(repository_stream(key.slug), _Repository())
            own = known.branches.get(key.ref, BranchState())
            every = (*known.branches.values(), own)  # what it took itself counts before what others did
            tags = {one.taken_tag: one.taken for one in every if one.taken_tag and one.taken}
            return replace(own, version=known.version, tags=tags)

    def known(self, log: EventLog) -> dict[BranchKey, BranchState]:
        """All branches that the log knows, sorted."""
        with self._alone:
            self._refresh(log)
            return dict(sorted(self._all()))

    def others(self, log: EventLog, key: BranchKey, *, among: Rivals | None) -> dict[str, BranchKey]:
        """`{environment: branch}` of all that belong to a branch other than `key`.

        `among` None: every branch that the log knows counts, with what it claimed.
        """
        with self._alone:
            self._refresh(log)
            first: dict[str, tuple[bool, int, BranchKey]] = {}
            for branch, state in self._all():
                for title, rank in _ranks(branch, state, among):
                    first[title] = min(first.get(title, rank), rank)
            return {title: branch for title, (*_, branch) in first.items() if branch != key}

    def _all(self) -> list[tuple[BranchKey, BranchState]]:
        return [
            (BranchKey(split_repository(stream), ref), state)
            for stream, repository in self._repositories.items()
            for ref, state in repository.branches.items()
        ]

    def _refresh(self, log: EventLog) -> None:
        """Read what is new: which repositories there are, then the end of each one's stream."""
        if log is not self._log:
            self._log, self._head, self._repositories = log, 0, {}
        head = log.head()
        if head == self._head:
            return
        for kind in (RevisionObserved, RevisionRejected):  # one of them is the first word on a branch
            for stored in log.read(after=self._head, type_name=kind.__name__):
                self._repositories.setdefault(stored.stream, _Repository())
        for stream, repository in self._repositories.items():
            for stored in log.read_stream(stream, after_version=repository.version):
                repository.version = stored.version
                event = decode(stored)
                ref = getattr(event, "ref", None)
                if ref is not None:
                    before = repository.branches.get(ref, BranchState())
                    repository.branches[ref] = apply_event(before, event, stored)
        self._head = head
