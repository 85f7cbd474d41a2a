"""May this Manifest be deployed because a person says so?

A person may bring out what no branch shows, or to some hosts only: it is held then, so that the next look at
Git does not take it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.decide.deploy import NOT_ALLOWED_RULE, superseded
from controller.decide.holds import judge
from controller.decide.rollback import NOTHING_DEPLOYED
from events.catalog.environment import DeployRefused, DeployRequested, EnvironmentHeld, HoldCleared
from events.kernel.errors import UserError, Where, error_code

if TYPE_CHECKING:
    from collections.abc import Collection

    from controller.decide.deploy import Candidate
    from controller.decide.state import EnvironmentState
    from events.catalog import Event

ENVIRONMENT_HELD = error_code("environment-held", "A hold does not let this Manifest pass.")
ENVIRONMENT_SUSPENDED = error_code(
    "environment-suspended", "The environment is suspended; nothing is deployed."
)


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
    events.extend(superseded(state, by=release_id))
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
