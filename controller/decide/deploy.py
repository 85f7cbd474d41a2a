"""May this render be deployed now? Decisions for what Git shows and for what a person names.

Level-triggered: the input is what Git shows now and the state is what was decided before, so a look that
finds nothing new decides nothing and appends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from controller.decide.holds import judge
from controller.decide.rollback import NOTHING_DEPLOYED
from controller.decide.state import GitState
from events.catalog.environment import (
    DeployDeferred,
    DeployRefused,
    DeployRequested,
    DeploySkipped,
    EnvironmentHeld,
    HoldCleared,
    RevertDetected,
)
from events.catalog.release import ReleaseSuperseded
from events.kernel.errors import UserError, Where, error_code

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from controller.decide.state import EnvironmentState, Hold
    from events.catalog import Event

ENVIRONMENT_HELD = error_code("environment-held", "A hold does not let this Manifest pass.")
ENVIRONMENT_SUSPENDED = error_code(
    "environment-suspended", "The environment is suspended; nothing is deployed."
)

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
    return (*ending, *_superseded(state, by=release_id), _request(state, candidate, release_id=release_id))


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


def decide_person(
    state: EnvironmentState,
    candidate: Candidate,
    *,
    release_id: str,
    allowed: Collection[str] = (),
    at_head: bool = True,
    confirmed_prune: int | None = None,
    scope: tuple[str, ...] = (),
) -> tuple[Event, ...]:
    """The events that follow from a person asking for `candidate`; `allowed` is what they give it.

    `confirmed_prune` services may leave with it, however many that is. `scope` has the only hosts that are to
    get it; it is held then, so that the others get it when a person says so.

    Every call makes a Release, also of what is deployed already. A Manifest other than the one Git shows is
    held, so that the next look does not take it back; where Git was never considered, `at_head` says whether
    it is the newest commit that the person has. What it may not ask for leads to `DeployRefused` alone.
    Raises UserError `environment-suspended`, `environment-held`, or `nothing-deployed` for some hosts of what
    no host has.
    """
    refuse_partial_first(state, scope)
    if state.suspended:
        raise UserError(
            ENVIRONMENT_SUSPENDED, "the environment is suspended", next="stagecraft resume --suspend"
        )
    events: list[Event] = []
    if state.hold is not None:
        verdict = judge(state, state.hold, digest=candidate.digest, services=candidate.services)
        if verdict.rule is not None and candidate.digest != state.hold.target:
            raise UserError(
                ENVIRONMENT_HELD,
                f"the environment is held: {state.hold.reason}",
                where=Where(),
                why=f"{verdict.rule}: {verdict.detail}",
                next="fix what was held, or `stagecraft resume` to end the hold",
            )
        unwatched = state.git.digest is None and at_head  # all that Git is known to show is what they have
        everywhere = state.hold.partial and not scope
        if everywhere:
            events.append(HoldCleared(reason="resumed", revision=candidate.revision))
        elif verdict.clears == "fixed" or (verdict.clears == "reverted" and unwatched):
            events.append(HoldCleared(reason=verdict.clears, revision=candidate.revision))
    if candidate.refused:
        return (refused(candidate),)
    events.extend(_superseded(state, by=release_id))
    events.append(
        DeployRequested(
            release=release_id,
            digest=candidate.digest,
            version=candidate.version,
            revision=candidate.revision,
            previous=state.deployed,
            trigger="person",
            allowed=tuple(sorted(set(allowed))),
            confirmed_prune=confirmed_prune,
            scope=scope,
        )
    )
    events.extend(
        held_partly(state, candidate.digest, version=candidate.version, scope=scope)
        if scope
        else _held_by_hand(state, candidate, at_head=at_head)
    )
    return tuple(events)


def refuse_partial_first(state: EnvironmentState, scope: tuple[str, ...]) -> None:
    """Raise UserError `nothing-deployed` for a Release of some hosts where nothing is deployed."""
    if scope and state.deployed is None:
        raise UserError(
            NOTHING_DEPLOYED,
            "nothing is deployed here yet, and the first Release is one of all hosts",
            next="stagecraft deploy",
        )


def held_partly(
    state: EnvironmentState, digest: str, *, version: str, scope: tuple[str, ...]
) -> tuple[EnvironmentHeld, ...]:
    """The hold of what only some hosts get; none where a person holds the environment there already."""
    if state.hold is not None and state.hold.clears == "manual" and state.hold.target == digest:
        return ()
    return (
        EnvironmentHeld(
            target=digest,
            bad=() if state.hold is None else tuple(sorted(state.hold.bad - {digest})),
            clears="manual",
            reason=f"{version} was brought to {', '.join(scope)} alone",
            partial=True,
        ),
    )


def _held_by_hand(
    state: EnvironmentState, candidate: Candidate, *, at_head: bool
) -> tuple[EnvironmentHeld, ...]:
    """The hold of what the branch does not show; none where one holds it there already.

    It also ends when the branch comes to show it: a commit that was deployed before a look saw it is not
    held for ever.
    """
    shown = state.git.digest
    if shown == candidate.digest or (shown is None and at_head):
        return ()
    hold = state.hold
    if hold is not None and hold.target == candidate.digest and not hold.partial:
        return ()
    commit = "" if state.git.revision is None else f", which is {state.git.revision[:12]}"
    return (
        EnvironmentHeld(
            target=candidate.digest,
            bad=(),
            clears="manual",
            reason=f"{candidate.version} was deployed by hand and is not what the branch shows{commit}",
            agrees=True,
        ),
    )


def refused(candidate: Candidate) -> DeployRefused:
    """What is recorded when a person asks for what is not allowed."""
    return DeployRefused(
        rule=NOT_ALLOWED_RULE,
        digest=candidate.digest,
        revision=candidate.revision,
        detail="; ".join(candidate.refused),
        needs=tuple(line.partition(" (")[0] for line in candidate.refused),
    )


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


def _superseded(state: EnvironmentState, *, by: str) -> tuple[Event, ...]:
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
