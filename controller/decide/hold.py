"""Holding an environment where it is, and letting it go again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.decide.rollback import NOTHING_DEPLOYED
from events.catalog.environment import BreakerClosed, EnvironmentHeld, EnvironmentResumed, HoldCleared
from events.kernel.errors import UserError, error_code

if TYPE_CHECKING:
    from controller.decide.state import EnvironmentState
    from events.catalog import Event

NOT_HELD = error_code(
    "environment-not-held", "The environment is neither held nor suspended, and its healing does not rest."
)
HELD_AND_SUSPENDED = error_code(
    "resume-ambiguous", "The environment is held and suspended; say which of the two ends."
)


def decide_hold(state: EnvironmentState, *, reason: str) -> tuple[Event, ...]:
    """Pin the environment to what is deployed until a person lets it go.

    Manifests that an earlier hold refused stay refused. Raises UserError `nothing-deployed`.
    """
    if state.deployed_digest is None:
        raise UserError(NOTHING_DEPLOYED, "nothing is deployed that could be held", next="stagecraft deploy")
    bad = () if state.hold is None else tuple(sorted(state.hold.bad - {state.deployed_digest}))
    return (EnvironmentHeld(target=state.deployed_digest, bad=bad, clears="manual", reason=reason),)


def decide_resume(state: EnvironmentState, *, reason: str) -> tuple[Event, ...]:
    """End the hold or the suspend, and the rest of healing with it or alone.

    Raises UserError `environment-not-held` or `resume-ambiguous`.
    """
    rests = state.breaker_until is not None
    healing = (BreakerClosed(reason="resumed", detail=reason),) if rests else ()
    if state.hold is not None and state.suspended:
        raise UserError(HELD_AND_SUSPENDED, "the environment is held and suspended")
    if state.hold is not None:
        return (HoldCleared(reason="resumed", detail=reason), *healing)
    if state.suspended:
        return (EnvironmentResumed(reason=reason), *healing)
    if healing:
        return healing
    raise UserError(NOT_HELD, "there is no hold to end", next="stagecraft status")
