"""What stands between an environment and what Git shows, at the end of the record.

Each obstacle is the event that began it and that nothing has ended since.
"""

from __future__ import annotations

from collections.abc import Mapping

from projections.views.why.record import REQUESTS, VERDICTS, Record, Told

_BEGINS = {
    "EnvironmentHeld": "hold",
    "EnvironmentSuspended": "suspend",
    "DeployDeferred": "deferral",
    "RenderFailed": "render",
    "ImageAwaited": "images",
    "BreakerOpened": "breaker",
    "DriftDetected": "drift",
    "EnvironmentOrphaned": "orphan",
    "DestroyRequested": "removal",
    "EnvironmentDestroyed": "removal",
}
_GIT = frozenset({"deferral", "render", "images"})  # a decision about what Git shows ends these
_ENDS: Mapping[str, frozenset[str]] = {
    "HoldCleared": frozenset({"hold", "deferral"}),
    "EnvironmentResumed": frozenset({"suspend", "deferral"}),
    "BreakerClosed": frozenset({"breaker"}),
    "DriftHealed": frozenset({"drift"}),
    "EnvironmentReturned": frozenset({"orphan"}),
    "ManifestRendered": frozenset({"render", "images"}),
    "DeploySkipped": _GIT,
    "DeployDeferred": _GIT,
    "RenderFailed": _GIT,
    "ImageAwaited": _GIT,
    "EnvironmentDestroyed": frozenset({"hold", "breaker", "drift"}),
}


def standing(record: Record) -> list[Told]:
    """The obstacles, in the order in which they began; a Release without a verdict is one too."""
    stands: dict[str, Told] = {}
    for one in record.environment:
        for name in _ended_by(one):
            stands.pop(name, None)
        if (begun := _begun_by(one)) is not None:
            stands[begun] = one
    ended = {one.data["release"] for one in record.environment if one.type in VERDICTS}
    unfinished = [one for one in record.requests() if one.data["release"] not in ended]
    found = [*stands.values(), *unfinished[-1:], *_unreachable(record)]
    return sorted(found, key=lambda told: told.position)


def _begun_by(told: Told) -> str | None:
    """The obstacle that an event is; a person who waits for images does so before their own screen."""
    if told.type == "ImageAwaited" and told.data["trigger"] == "person":
        return None
    return _BEGINS.get(told.type)


def _ended_by(told: Told) -> frozenset[str]:
    if told.type not in REQUESTS:
        return _ENDS.get(told.type, frozenset())
    by_person = told.type not in {"DeployRequested", "RevertDetected"} or told.data.get("trigger") == "person"
    ends = frozenset({"breaker", "removal"})
    return ends | {"orphan"} if by_person else ends | _GIT


def _unreachable(record: Record) -> list[Told]:
    """Hosts of the environment that stopped answering and have not answered since."""
    used = {
        host for one in record.environment if one.type == "ManifestRendered" for host in one.data["services"]
    }
    newest = {one.data["host"]: one for one in record.hosts}
    return [one for host, one in sorted(newest.items()) if host in used and one.type == "HostUnreachable"]
