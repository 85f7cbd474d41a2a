"""May this render be deployed now? The decision for what Git shows; `by_hand.py` has that for a person.

Level-triggered: the input is what Git shows now and the state is what was decided before, so a look that
finds nothing new decides nothing and appends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from controller.decide.holds import judge
from controller.decide.state import GitState
from events.catalog.environment import (
    DeployDeferred,
    DeployRequested,
    DeploySkipped,
    HoldCleared,
    RevertDetected,
)
from events.catalog.release import ReleaseSuperseded

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from controller.decide.state import EnvironmentState, Hold
    from events.catalog import Event

NOT_ALLOWED_RULE = "not-allowed"
HOSTS_RULE = "host-not-allowed"
DESTROYED_RULE = "destroyed"
MAX_TRIES = 5
FIRST_RETRY_DELAY = timedelta(seconds=10)  # doubles with each try


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A Manifest that could be deployed, and the commit that leads to it."""

    digest: str
    services: Mapping[str, Mapping[str, str]]  # {host: {service: hash}}
    revision: str
    version: str
    refused: tuple[str, ...] = ()  # what it asks for and is not allowed, a line each
    takes_back: tuple[str, ...] = ()  # commits shown before that it reverts, as messages say
    barred: str = ""  # hosts that its branch may not name, and who says so


def decide_git(
    state: EnvironmentState,
    candidate: Candidate,
    *,
    release_id: str,
    now: datetime,
) -> tuple[Event, ...]:
    """The events that follow from Git showing `candidate`; none when nothing is new."""
    git = state.git
    news = candidate.digest != git.digest or git.failure is not None or state.awaited is not None
    if (settled := _at_rest(state, candidate, news=news)) is not None:
        return settled
    ending: tuple[Event, ...] = ()
    if state.hold is not None:
        verdict = judge(state, state.hold, digest=candidate.digest, services=candidate.services)
        if verdict.rule is not None and not _held_retry_due(state, state.hold, candidate, now=now):
            return (_deferral(candidate, rule=verdict.rule, detail=verdict.detail),) if news else ()
        ending = (HoldCleared(reason=verdict.clears or "retried", revision=candidate.revision),)
    if candidate.digest == state.deployed_digest and not state.placed and _undisputed(state, candidate):
        return (*ending, *_already_there(candidate, ending=ending, news=news))
    if candidate.barred or candidate.refused:
        return _refusal(state, candidate, news=news)
    if _in_hand(state, candidate, news=news, now=now):
        return ending
    return (*ending, *superseded(state, by=release_id), _request(state, candidate, release_id=release_id))


def _at_rest(state: EnvironmentState, candidate: Candidate, *, news: bool) -> tuple[Event, ...] | None:
    """What an environment that is suspended or taken away says to Git; None: Git may go on.

    Git does not bring back what it showed, or what was deployed, when the environment was taken away.
    """
    if state.destroying is not None:
        return ()
    if state.suspended:
        return (_deferral(candidate, rule="suspended"),) if news else ()
    if state.destroyed is None or candidate.digest not in state.destroyed.digests:
        return None
    if state.git.deferred == DESTROYED_RULE:
        return ()
    detail = "it was taken away; a commit that changes it brings it back, or `deploy`"
    return (_deferral(candidate, rule=DESTROYED_RULE, detail=detail),)


def _refusal(state: EnvironmentState, candidate: Candidate, *, news: bool) -> tuple[Event, ...]:
    """Say once for each Manifest that policy keeps it out; a hold that stands goes on."""
    rule = HOSTS_RULE if candidate.barred else NOT_ALLOWED_RULE
    if not news and state.git.deferred == rule:
        return ()
    return (_deferral(candidate, rule=rule, detail=candidate.barred or "; ".join(candidate.refused)),)


def _deferral(candidate: Candidate, *, rule: str, detail: str = "") -> DeployDeferred:
    return DeployDeferred(rule=rule, digest=candidate.digest, revision=candidate.revision, detail=detail)


def _undisputed(state: EnvironmentState, candidate: Candidate) -> bool:
    """Whether no Release is on its way to something else than the candidate, which is deployed."""
    return state.active is None or state.active.digest == candidate.digest


def _already_there(candidate: Candidate, *, ending: tuple[Event, ...], news: bool) -> tuple[Event, ...]:
    """The candidate is deployed: remember what Git shows, unless the end of the hold says it."""
    told = any(isinstance(one, HoldCleared) and one.reason == "reverted" for one in ending)
    if told or not news:
        return ()
    return (DeploySkipped(reason="already-deployed", digest=candidate.digest, revision=candidate.revision),)


def _in_hand(state: EnvironmentState, candidate: Candidate, *, news: bool, now: datetime) -> bool:
    """Whether the candidate is being worked on, or was tried and must wait for a reason to try again."""
    if state.active is not None and state.active.digest == candidate.digest:
        return True
    tried = bool(state.failed_attempts(candidate.digest))
    return tried and not news and not _retry_due(state, candidate.digest, now=now)


def superseded(state: EnvironmentState, *, by: str) -> tuple[Event, ...]:
    """A newer decision makes the Releases that wait needless; whoever works on one says how it ends."""
    waiting = [one for one in state.unfinished if not one.begun]
    return tuple(ReleaseSuperseded(release=one.id, by=by) for one in waiting)


def _request(
    state: EnvironmentState, candidate: Candidate, *, release_id: str
) -> DeployRequested | RevertDetected:
    """A new commit that leads back to a Manifest that completed here before is a revert.

    So is one whose message says that it takes back a Release's commit, whatever else it holds.
    """
    ran_before = next((one for one in state.completed() if one.digest == candidate.digest), None)
    attempts = state.failed_attempts(candidate.digest)
    fresh = _is_fresh(state, candidate.digest, revision=candidate.revision)
    if ran_before is not None and fresh:
        return RevertDetected(
            release=release_id,
            digest=candidate.digest,
            version=ran_before.version,
            revision=candidate.revision,
            previous=state.deployed,
            reverts=state.deployed if state.running is None else state.running.id,
        )
    if fresh and (reverted := _taken_back(state, candidate.takes_back)) is not None:
        return RevertDetected(
            release=release_id,
            digest=candidate.digest,
            version=candidate.version,
            revision=candidate.revision,
            previous=state.deployed,
            reverts=reverted,
            by="message",
        )
    return DeployRequested(
        release=release_id,
        digest=candidate.digest,
        version=candidate.version,
        revision=candidate.revision,
        previous=state.deployed,
        trigger="git",
        retry_of=attempts[-1].id if attempts else None,
    )


def foretold_revert(
    state: EnvironmentState, digest: str, *, revision: str, takes_back: Collection[str]
) -> tuple[str, Literal["tree", "message"]] | None:
    """The Release that a look at this commit would take back, and what says so; None: it is no revert.

    What a person deploys is none, so neither is anything where no branch was ever looked at.
    """
    if digest == state.deployed_digest or state.git == GitState():
        return None
    if is_revert(state, digest, revision=revision):
        return None if state.deployed is None else (state.deployed, "tree")
    ran = _taken_back(state, takes_back) if _is_fresh(state, digest, revision=revision) else None
    return None if ran is None else (ran, "message")


def is_revert(state: EnvironmentState, digest: str, *, revision: str) -> bool:
    """Whether a commit that leads to `digest` goes back to what ran here before."""
    ran_before = any(one.digest == digest for one in state.completed())
    return ran_before and _is_fresh(state, digest, revision=revision)


def _is_fresh(state: EnvironmentState, digest: str, *, revision: str) -> bool:
    """Whether the commit is a new one, and what it leads to no failure that is tried again."""
    return revision != state.git.revision and not state.failed_attempts(digest)


def _taken_back(state: EnvironmentState, takes_back: Collection[str]) -> str | None:
    """The newest Release that touched hosts for a commit that is taken back."""
    ran = [one.id for one in state.releases.values() if one.revision in takes_back and one.begun]
    return ran[-1] if ran else None


def _held_retry_due(state: EnvironmentState, hold: Hold, candidate: Candidate, *, now: datetime) -> bool:
    """Whether the hold stands only because this very candidate failed, and that may be tried again.

    A hold that a person made since is theirs to end.
    """
    attempts = state.failed_attempts(candidate.digest)
    made_by_failure = bool(attempts) and hold.failed_release == attempts[-1].id
    return made_by_failure and _retry_due(state, candidate.digest, now=now)


def _retry_due(state: EnvironmentState, digest: str, *, now: datetime) -> bool:
    """Whether a failure that came from outside may be tried again by itself now."""
    attempts = state.failed_attempts(digest)
    if not attempts or len(attempts) >= MAX_TRIES:
        return False
    last = attempts[-1]
    if last.failure is None or last.failure.cause != "outside" or last.ended is None:
        return False
    delay: timedelta = FIRST_RETRY_DELAY * 2 ** (len(attempts) - 1)
    return now >= last.ended + delay or now < last.ended  # the clock was set back: no reason to wait longer
