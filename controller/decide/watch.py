"""How the watch over a completed Release ends: with nothing found, with a way back, or by another wish.

What is found takes the Release back by a new one of kind `rollback`, with the hold that any rollback makes:
Git must not bring back what failed. Whoever watches may be slow or several, so each decision asks first
whether that watch is still open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.decide.rollback import (
    NO_PREVIOUS_RELEASE,
    NOTHING_DEPLOYED,
    RollbackTarget,
    decide_rollback,
    find_target,
)
from events.catalog.adoption import AdoptionRequested
from events.catalog.draining import TrafficDrained
from events.catalog.environment import (
    DeployRequested,
    EnvironmentHeld,
    EnvironmentSuspended,
    RevertDetected,
    RollbackRequested,
)
from events.catalog.removal import DestroyRequested
from events.catalog.running import ServiceRestarted, ServiceStopped
from events.catalog.watch import WatchEnded, WatchFailed, WatchPassed
from events.kernel.errors import UserError

if TYPE_CHECKING:
    from controller.decide.state import EnvironmentState, Watch
    from events.catalog import Event, Failure
    from events.catalog.watch import WatchEnd

_ENDS: dict[type[Event], WatchEnd] = {
    DeployRequested: "requested",
    RevertDetected: "requested",
    RollbackRequested: "requested",
    AdoptionRequested: "requested",
    EnvironmentHeld: "held",
    EnvironmentSuspended: "suspended",
    TrafficDrained: "drained",
    DestroyRequested: "destroyed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Requests that gateways counted while it was watched, and how many of them were answered with 5xx."""

    requests: int = 0
    failed: int = 0


def decide_passed(state: EnvironmentState, *, release: str, figures: Figures) -> tuple[Event, ...]:
    """Say that nothing was found; nothing when the watch over that Release is not open any more."""
    if state.watch is None or state.watch.release != release:
        return ()
    return (WatchPassed(release=release, requests=figures.requests, failed=figures.failed),)


def decide_failed(
    state: EnvironmentState, *, release: str, failure: Failure, figures: Figures, release_id: str
) -> tuple[Event, ...]:
    """Say what was found and go back with it; nothing when the watch over that Release is not open any more.

    `release_id` names the rollback. Where no good Release is left to go back to, it is said alone.
    """
    if state.watch is None or state.watch.release != release:
        return ()
    found = WatchFailed(release=release, failure=failure, requests=figures.requests, failed=figures.failed)
    try:
        target = find_target(state, RollbackTarget(to_previous=True))
    except UserError as error:
        if error.code not in {NO_PREVIOUS_RELEASE, NOTHING_DEPLOYED}:
            raise
        return (found,)
    reason = f"{release} failed while it was watched: {failure.message}"
    return (found, *decide_rollback(state, target, release_id=release_id, reason=reason))


def with_end_of_watch(state: EnvironmentState, decided: tuple[Event, ...]) -> tuple[Event, ...]:
    """What was decided, and the end of the watch where it says that something else is to be."""
    if state.watch is None or any(isinstance(one, WatchFailed) for one in decided):
        return decided
    for one in decided:
        reason = _ends(state.watch, one)
        if reason is not None:
            return (*decided, WatchEnded(release=state.watch.release, reason=reason))
    return decided


def _ends(watch: Watch, event: Event) -> WatchEnd | None:
    """How an event ends a watch; None: it does not."""
    if isinstance(event, ServiceStopped | ServiceRestarted):
        return "steered" if event.service in watch.services else None
    return _ENDS.get(type(event))
