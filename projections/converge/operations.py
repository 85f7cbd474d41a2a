"""What a converger does on a host, one thing at a time, as data: it can be shown before it is run.

Running them is the business of `apply.py`, which puts operations of one wave into one call of Compose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from events.rollout import Strategy

OperationKind = Literal["run_job", "create", "replace", "start", "stop", "reload", "keep", "remove"]

UP_KINDS: frozenset[OperationKind] = frozenset({"create", "replace"})
AT_REST = "stopped on purpose"
"""The reason of a `keep` or a `stop` of a service that a person stopped: nobody waits for it."""
KEPT_ORPHAN = "gone from the Manifest; it waits for a person's word"
"""The reason of a `keep` of what left the Manifest with too much else at once."""

_VERBS: dict[OperationKind, str] = {
    "run_job": "run the job",
    "create": "create",
    "replace": "replace",
    "start": "start",
    "stop": "stop",
    "reload": "reload",
    "keep": "keep",
    "remove": "remove",
}
_SHORT_ID = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing to do with one service on one host.

    `containers` are the ids it concerns: those that go for `replace` and `remove`, those that stay for
    `keep`, those to start for `start`, those to stop for `stop`, those to be told for `reload`; none for
    `create` and `run_job`.
    `reload` may stand beside another operation of the same service, which comes after it.
    """

    kind: OperationKind
    host: str
    service: str
    reason: str  # new, changed, missing, stopped, orphan, duplicate, …; for `keep` why nothing is done
    containers: tuple[str, ...] = ()
    clears_way: bool = False  # `remove` only: holds a port or a name that another operation needs
    removes_first: tuple[str, ...] = ()  # `replace` only: containers that go before Compose is called
    stops_first: bool = False  # `replace` only: what is removed first runs, and gets its grace period
    strategy: Strategy = "stop-first"  # `replace` only
    because: tuple[str, ...] = ()  # of stop-first: what forbids more; none where nothing answers anyway

    @property
    def beside(self) -> bool:
        """Whether the new containers are up before the old ones go."""
        return self.kind == "replace" and self.strategy == "start-first"

    def describe(self) -> str:
        """One line for people: `local: replace web (changed) 3f2a91c07d1e`."""
        ids = " ".join(container[:_SHORT_ID] for container in self.containers)
        return f"{self.host}: {_VERBS[self.kind]} {self.service} ({self.reason}) {ids}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """All operations of one host: services in the order of their names, then what goes."""

    host: str
    operations: tuple[Operation, ...]

    @property
    def changes(self) -> tuple[Operation, ...]:
        """Everything but `keep`."""
        return tuple(operation for operation in self.operations if operation.kind != "keep")

    @property
    def repairs(self) -> tuple[Operation, ...]:
        """The changes that bring back what was there: all but jobs, which are history and not state."""
        return tuple(operation for operation in self.changes if operation.kind != "run_job")

    def of(self, *kinds: OperationKind) -> tuple[Operation, ...]:
        """The operations of some kinds."""
        return tuple(operation for operation in self.operations if operation.kind in kinds)

    @property
    def resting(self) -> frozenset[str]:
        """The services that a person stopped."""
        return frozenset(operation.service for operation in self.operations if operation.reason == AT_REST)

    def only(self, services: frozenset[str]) -> HostPlan:
        """The same plan without the operations of other services."""
        kept = tuple(operation for operation in self.operations if operation.service in services)
        return HostPlan(host=self.host, operations=kept)

    def describe(self) -> tuple[str, ...]:
        """One line for each change."""
        return tuple(operation.describe() for operation in self.changes)
