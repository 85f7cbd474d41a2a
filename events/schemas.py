"""Which event types this version knows, and the newest schema of each: at hand without the classes.

A command that folds a view must know whether it can read an event, and must not pay for the import of the
whole catalogue to learn it. So the numbers stand here a second time; a test compares them with the classes.
The classes alone were dropped for their import, and a generated file for a table of fifty short lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from events.envelope import StoredEvent

Illegible = Literal["unknown-type", "newer-schema"]
"""Why this version cannot read an event: it knows no such type, or only older shapes of it."""

SCHEMAS: Mapping[str, int] = {
    "AdoptionRequested": 1,
    "BreakerClosed": 1,
    "BreakerOpened": 1,
    "ConnectionsDrained": 1,
    "ContainerStateChanged": 1,
    "DeployDeferred": 1,
    "DeployRefused": 1,
    "DeployRequested": 2,
    "DeploySkipped": 1,
    "DestroyRequested": 1,
    "DriftDetected": 1,
    "DriftHealed": 1,
    "EnvironmentDestroyed": 1,
    "EnvironmentHeld": 2,
    "EnvironmentLeftOut": 1,
    "EnvironmentOrphaned": 1,
    "EnvironmentResumed": 1,
    "EnvironmentReturned": 1,
    "EnvironmentSuspended": 1,
    "HistoryRewritten": 1,
    "HoldCleared": 1,
    "HostBootstrapped": 1,
    "HostDeclared": 1,
    "HostKeyAccepted": 1,
    "HostLeftOut": 1,
    "HostReached": 1,
    "HostRebound": 1,
    "HostUnreachable": 1,
    "HostVariablesBound": 1,
    "ImageAwaited": 1,
    "ImageBuilt": 1,
    "ImagesForgotten": 1,
    "ImagesRefreshed": 1,
    "JobCompleted": 1,
    "JobFailed": 1,
    "LockBroken": 1,
    "LogForked": 1,
    "ManifestRendered": 2,
    "PhaseCompleted": 1,
    "PhaseFailed": 1,
    "PhaseSkipped": 1,
    "PhaseStarted": 1,
    "PruneConfirmed": 1,
    "PruneDeferred": 1,
    "ReleaseCancelled": 1,
    "ReleaseCompleted": 3,
    "ReleaseFailed": 2,
    "ReleaseRolledBack": 2,
    "ReleaseStarted": 1,
    "ReleaseSuperseded": 1,
    "RemovalDeferred": 1,
    "RenderFailed": 1,
    "RevertDetected": 1,
    "RevisionObserved": 2,
    "RevisionRejected": 1,
    "RollbackRequested": 2,
    "RoutesTold": 1,
    "SealDeliveryFailed": 1,
    "SealDeliveryResumed": 1,
    "SealKeyMade": 1,
    "SealKeyRotated": 1,
    "SealMade": 1,
    "ServiceAdopted": 1,
    "ServiceReloaded": 1,
    "ServiceReplaced": 2,
    "ServiceRestarted": 1,
    "ServiceStarted": 1,
    "ServiceStartedBeside": 1,
    "ServiceStopped": 1,
    "ServiceWithdrawn": 1,
    "TrafficDrained": 1,
    "TrafficRestored": 1,
    "TrafficSwitched": 1,
    "TrafficUndrained": 1,
    "WatchBegun": 1,
    "WatchEnded": 1,
    "WatchFailed": 1,
    "WatchPassed": 1,
}


def illegible(event: StoredEvent) -> Illegible | None:
    """Why this version cannot read an event, which a newer one must have written; None: it can."""
    newest = SCHEMAS.get(event.type)
    if newest is None:
        return "unknown-type"
    return "newer-schema" if event.schema > newest else None
