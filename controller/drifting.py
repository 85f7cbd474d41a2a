"""`drift`: what differs now between what is deployed and what runs, and what becomes of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from controller.decide.running import deployed_digest
from controller.placed import former_manifest
from controller.releasing import drift_policy
from events.kernel.clock import format_utc
from projections.converge.backends import LeftOut

if TYPE_CHECKING:
    from controller.context import Context
    from controller.targets import Target
    from events.catalog.drift import DriftPolicy
    from projections.converge.drift import HostDrift, Row

Healing = Literal["on", "off", "suspended", "rests"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What all hosts answered."""

    target: Target
    policy: DriftPolicy
    healing: Healing  # `off`: the policy does not heal
    active: str | None  # a Release that is under way: what differs may be its doing
    as_of: datetime
    hosts: tuple[HostDrift, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """What differs on all hosts that answered."""
        return tuple(row for host in self.hosts for row in host.rows)

    @property
    def unknown(self) -> tuple[HostDrift, ...]:
        """The hosts that did not answer, or not as themselves."""
        return tuple(host for host in self.hosts if host.reachable is not True)

    def age_seconds(self, row: Row) -> float | None:
        """Since it was first reported; None: it was not yet."""
        return None if row.since is None else max(0.0, round((self.as_of - row.since).total_seconds(), 3))

    def as_json(self) -> dict[str, Any]:
        """The object of `drift --json`; its keys are a published contract."""
        return {
            "environment": str(self.target),
            "policy": self.policy,
            "healing": self.healing,
            "active": self.active,
            "as_of": format_utc(self.as_of),
            "hosts": [
                {"name": host.host, "reachable": host.reachable, "reason": host.reason} for host in self.hosts
            ],
            "drift": [self._row(row) for row in self.rows],
        }

    def _row(self, row: Row) -> dict[str, Any]:
        return {
            "host": row.host,
            "service": row.service,
            "container": row.container or None,
            "field": row.field,
            "wanted": row.wanted,
            "found": row.found,
            "owner": row.owner,
            "since": None if row.since is None else format_utc(row.since),
            "age_seconds": self.age_seconds(row),
            "policy": self.policy,
        }


def ask(context: Context, target: Target) -> Report:
    """Ask every host of what is deployed now; nothing is changed and nothing recorded.

    Raises UserError `nothing-deployed`.
    """
    state = context.environment(target.project, target.name)
    manifest = former_manifest(context, state) or context.manifest(deployed_digest(state))
    policy = drift_policy(context, str(target), state)
    healing: Healing = "on" if policy == "heal" else "off"
    if state.suspended:
        healing = "suspended"
    elif state.breaker_open(context.clock.now()):
        healing = "rests"
    left_out = LeftOut(hosts=state.drained.hosts, services=state.drained.services)
    hosts = asyncio.run(
        context.converger.drift(
            manifest, stopped=state.stopped_hashes, kept=state.kept_places, left_out=left_out
        )
    )
    return Report(
        target=target,
        policy=policy,
        healing=healing,
        active=None if state.active is None else state.active.id,
        as_of=context.clock.now(),
        hosts=hosts,
    )
