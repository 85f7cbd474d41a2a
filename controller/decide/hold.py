"""Holding or suspending an environment, and letting it go again: by a person, or because its time is over.

A hold defends what is deployed: nothing is deployed, healing stays on. A suspend leaves the hosts alone:
nothing is deployed by Git and nothing healed. Both may stand at once and end one by one.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from controller.decide.rollback import NOTHING_DEPLOYED, completed_release
from events.catalog.drift import BreakerClosed
from events.catalog.environment import EnvironmentHeld, EnvironmentResumed, EnvironmentSuspended, HoldCleared
from events.kernel.errors import UserError, error_code

if TYPE_CHECKING:
    from controller.decide.state import EnvironmentState
    from events.catalog import Event

NOT_HELD = error_code(
    "environment-not-held", "The environment is not held, not suspended, or its healing does not rest."
)
HELD_AND_SUSPENDED = error_code(
    "resume-ambiguous", "The environment is held and suspended; say which of the two ends."
)
RELEASE_NOT_DEPLOYED = error_code(
    "release-not-deployed", "What is to be held is not what is deployed; going back to it is a rollback."
)

Stop = Literal["hold", "suspend"]


def decide_hold(
    state: EnvironmentState, *, reason: str, until: datetime | None = None, release: str | None = None
) -> tuple[Event, ...]:
    """Pin the environment to what is deployed until a person lets it go, or until `until`.

    `release` says what the person believes to be deployed. Manifests that an earlier hold refused stay
    refused. Raises UserError `nothing-deployed`, `release-not-deployed`, or as `completed_release`.
    """
    if state.deployed_digest is None:
        raise UserError(NOTHING_DEPLOYED, "nothing is deployed that could be held", next="stagecraft deploy")
    if release is not None and completed_release(state, release).digest != state.deployed_digest:
        raise UserError(
            RELEASE_NOT_DEPLOYED,
            f"{release} is not what is deployed; {state.deployed} is",
            next=f"stagecraft rollback --to-release {release}, which holds it too",
        )
    bad = () if state.hold is None else tuple(sorted(state.hold.bad - {state.deployed_digest}))
    held = EnvironmentHeld(target=state.deployed_digest, bad=bad, clears="manual", reason=reason, until=until)
    return (held,)


def decide_drift_hold(state: EnvironmentState, *, reason: str) -> tuple[Event, ...]:
    """Deploy nothing until a person has looked at a drift; nothing where a person's hold stands already."""
    if state.deployed_digest is None or (state.hold is not None and state.hold.clears == "manual"):
        return ()
    return decide_hold(state, reason=reason)


def decide_suspend(
    _state: EnvironmentState, *, reason: str, until: datetime | None = None
) -> tuple[Event, ...]:
    """Leave the environment alone until a person resumes it, or until `until`; a later one replaces it."""
    return (EnvironmentSuspended(reason=reason, until=until),)


def decide_resume(state: EnvironmentState, *, reason: str, ends: Stop | None = None) -> tuple[Event, ...]:
    """End the hold or the suspend, and the rest of healing with it or alone.

    `ends` says which of the two; None: the one there is. Raises UserError `environment-not-held` or
    `resume-ambiguous`.
    """
    if ends is None and state.hold is not None and state.suspended:
        raise UserError(
            HELD_AND_SUSPENDED,
            "the environment is held and suspended",
            next="stagecraft resume --hold, or stagecraft resume --suspend",
        )
    rests = state.breaker_until is not None
    healing = (BreakerClosed(reason="resumed", detail=reason),) if rests else ()
    if state.hold is not None and ends != "suspend":
        return (HoldCleared(reason="resumed", detail=reason), *healing)
    if state.suspended and ends != "hold":
        return (EnvironmentResumed(reason=reason), *healing)
    if healing and ends is None:
        return healing
    raise UserError(NOT_HELD, f"there is no {ends or 'hold'} to end", next="stagecraft status")


def decide_expiry(state: EnvironmentState, *, now: datetime) -> tuple[Event, ...]:
    """End what was to end by now; nothing as long as its time is not over."""
    events: list[Event] = []
    if state.hold is not None and state.hold.until is not None and state.hold.until <= now:
        events.append(HoldCleared(reason="expired"))
    if state.suspended_until is not None and state.suspended_until <= now:
        events.append(EnvironmentResumed(cause="expired"))
    return tuple(events)
