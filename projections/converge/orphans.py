"""Services that left the Manifest, and how many of them one Release takes away by itself.

A merge that takes a service away was reviewed, so its Release removes the containers, last. A mistake in a
render looks just the same and takes away much at once: an overlay that was lost, a profile that was left
out. So there is a cap, and above it nothing goes: the Release is completed, what left runs on as it was, and
a person who says the number lets it go. Nothing else waits for that. The cap is a number, and half of what
ran, for a small app loses all it has within any number; one or two always go.

What stands in the way of something wanted (its port, its name) goes all the same, for something took its
place. What is gone back to waits for nobody. A volume never goes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from events.manifest import Manifest
from projections.converge.operations import HostPlan

ORPHAN = "orphan"
_FEW = 2  # services that may always go, if the number lets them

Place = tuple[str, str]  # host and service


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """How much one Release may take away."""

    most: int | None = None  # services; None: all that left
    confirmed: int | None = None  # a person said that exactly so many go

    def stops(self, going: int, *, there: int) -> bool:
        """Whether so many services may not go without a person's word; `there` ran before."""
        if self.most is None or going == self.confirmed:
            return False
        return going > self.most or (going > _FEW and 2 * going > there)


def orphans_of(plan: HostPlan) -> frozenset[Place]:
    """The services that a plan takes away because they left the Manifest."""
    return frozenset((one.host, one.service) for one in plan.of("remove") if one.reason == ORPHAN)


def lasting(manifest: Manifest | None, *, hosts: Collection[str] | None = None) -> frozenset[Place]:
    """The services of a Manifest that run for good, on these hosts; on all without any."""
    if manifest is None:
        return frozenset()
    return frozenset(
        (host, name)
        for host, content in manifest.hosts.items()
        if hosts is None or host in hosts
        for name, service in content.services.items()
        if service.job is None
    )
