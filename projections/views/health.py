"""Health: how well containers do, and what that makes of the service, host or environment they belong to.

The worst decides, in the order healthy, suspended, progressing, missing, degraded, unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from projections.observed import ObservedContainer

Health = Literal["healthy", "suspended", "progressing", "missing", "degraded", "unknown"]

_WORST_FIRST: tuple[Health, ...] = ("unknown", "degraded", "missing", "progressing", "suspended", "healthy")
_BY_STATE: dict[str, Health] = {
    "created": "progressing",
    "removing": "progressing",
    "paused": "suspended",
    "restarting": "degraded",
    "exited": "degraded",
    "dead": "degraded",
}
DOWN = frozenset({"created", "exited", "dead"})  # states in which nothing runs
_RUNNING_BY_HEALTH: dict[str, Health] = {
    "none": "healthy",
    "healthy": "healthy",
    "starting": "progressing",
    "unhealthy": "degraded",
}


def worst(healths: Iterable[Health]) -> Health:
    """The worst of some, `healthy` for none."""
    found = set(healths)
    for one in _WORST_FIRST:
        if one in found:
            return one
    return "healthy"


def service_health(containers: Sequence[ObservedContainer], *, finished: bool, rests: bool) -> Health:
    """The worst of the containers. A job that has run to its end needs none, and one it left is no matter.

    What a person stopped is suspended while it is down.
    """
    if finished:
        return "healthy"
    if rests and all(one.state in DOWN for one in containers):
        return "suspended"
    if not containers:
        return "missing"
    return worst(_container_health(one) for one in containers)


def _container_health(container: ObservedContainer) -> Health:
    if container.state == "running":
        return _RUNNING_BY_HEALTH.get(container.health, "unknown")
    return _BY_STATE.get(container.state, "unknown")
