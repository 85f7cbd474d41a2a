"""What becomes of each service on each host, in the words of `plan`: an action, its reasons, and an outage.

The actions come from the converger's own plan; the reasons are looked up beside it. An outage is foretold
for every container that has to end before its successor can begin, with what demands that and how long it
may take: as long as the last one of that service, and until the gate decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from controller.differences import Reason, reasons_of, redefined_volumes
from controller.routed import BEGINS, telling, way_of_requests
from projections.converge.conflicts import replicas
from projections.converge.plan import FIRST_TOLD, HOST_ENV_CHANGED, ON_ROLLBACK
from projections.converge.sharing import SHARES_WITH, shared_with

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from events.manifest import HostManifest, Manifest
    from events.rollout import Strategy
    from projections.converge.operations import HostPlan, Operation, OperationKind

Action = Literal["create", "replace", "remove", "keep", "run", "start", "reload"]
SIGNS: dict[Action, str] = {
    "create": "+",
    "replace": "~",
    "remove": "-",
    "keep": "=",
    "run": "+",
    "start": "~",
    "reload": "~",
}
_ACTIONS: dict[OperationKind, Action] = {
    "create": "create",
    "replace": "replace",
    "remove": "remove",
    "keep": "keep",
    "run_job": "run",
    "start": "start",
    "reload": "reload",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A service that does not answer for a while, because its container ends before the next one begins."""

    host: str
    service: str
    causes: tuple[str, ...]
    at_most_seconds: float  # after the start of the new container: then its gate has decided
    expected_seconds: float | None = None  # to the start of the new one, as the last time; None: never done

    @property
    def length(self) -> str:
        """How long it may take, in words."""
        known = (
            "" if self.expected_seconds is None else f"about {self.expected_seconds:.1f} s as the last time, "
        )
        return f"{known}until its gate passes, at most {self.at_most_seconds:g} s"

    def as_json(self) -> dict[str, Any]:
        """The object that `plan --format json` prints."""
        return {
            "host": self.host,
            "service": self.service,
            "causes": list(self.causes),
            "expected_seconds": self.expected_seconds,
            "at_most_seconds": self.at_most_seconds,
        }

    def as_length(self) -> dict[str, Any]:
        """The part of it that stands with a change."""
        return {
            "because": list(self.causes),
            "expected_seconds": self.expected_seconds,
            "at_most_seconds": self.at_most_seconds,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What would become of one service on one host."""

    host: str
    service: str
    action: Action
    reasons: tuple[Reason, ...]
    containers: int = 0  # how many there are now that it concerns
    signal: str = ""  # that its containers get; with `reload` alone
    strategy: Strategy | None = None  # of `replace` alone
    outage: Outage | None = None  # while it is replaced
    requests: str = ""  # what becomes of its requests while it is replaced, in words

    @property
    def reason(self) -> str:
        """All reasons in one line."""
        return "; ".join(reason.text for reason in self.reasons)

    def as_json(self) -> dict[str, Any]:
        """The object that `plan --format json` prints."""
        return {
            "host": self.host,
            "service": self.service,
            "action": self.action,
            "reason": self.reason,
            "reasons": [reason.as_json() for reason in self.reasons],
            "containers": self.containers,
            **({"signal": self.signal} if self.signal else {}),
            **({"strategy": self.strategy} if self.strategy else {}),
            **({"outage": self.outage.as_length()} if self.outage else {}),
            **({"requests": self.requests} if self.requests else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two Manifests, the plans between them, and what helps to give reasons."""

    wanted: Manifest
    before: Manifest | None
    plans: Mapping[str, HostPlan]
    origins: Mapping[str, Mapping[str, str]]  # {service: {path in the container: path in the repository}}
    stale: Mapping[str, Mapping[str, tuple[str, ...]]]  # {host: {service: what changed there}}
    differing: Mapping[tuple[str, str], tuple[str, ...]] = field(
        default_factory=dict[tuple[str, str], "tuple[str, ...]"]
    )
    """Fields in which a container that was taken over is not as its Manifest says, by `(host, service)`."""
    in_place_seconds: Mapping[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    """How long the last exchange in place took, by `(host, service)`."""

    def changes(self) -> tuple[Change, ...]:
        """Every service on every host, sorted."""
        found = [
            Change(
                host=host,
                service=operation.service,
                action=self._action(operation),
                reasons=self._reasons(operation),
                containers=len(operation.containers),
                signal=self._signal(operation),
                strategy=operation.strategy if self._action(operation) == "replace" else None,
                outage=self._outage(operation),
                requests=self._requests(operation),
            )
            for host, plan in self.plans.items()
            for operation in plan.operations
        ]
        return tuple(sorted(found, key=lambda one: (one.host, one.service, one.action)))

    def _action(self, operation: Operation) -> Action:
        """The action; a service that is replaced and scaled to none at once is gone."""
        if operation.kind == "replace":
            definition = self.wanted.hosts[operation.host].compose["services"][operation.service]
            return "replace" if replicas(definition) else "remove"
        return _ACTIONS[operation.kind]

    def _signal(self, operation: Operation) -> str:
        if operation.kind != "reload":
            return ""
        reload = self.wanted.hosts[operation.host].services[operation.service].reload
        return "" if reload is None else reload.signal

    def _outage(self, operation: Operation) -> Outage | None:
        """What a replacement in place means for who asks the service."""
        if self._action(operation) != "replace" or operation.beside or not operation.containers:
            return None
        host, name = operation.host, operation.service
        return Outage(
            host=host,
            service=name,
            causes=operation.because,
            at_most_seconds=self.wanted.hosts[host].services[name].gate.deadline_seconds,
            expected_seconds=self.in_place_seconds.get((host, name)),
        )

    def _requests(self, operation: Operation) -> str:
        if self._action(operation) != "replace" or not operation.containers:
            return ""
        return way_of_requests(self.wanted, operation.service, operation.strategy)

    def notes(self) -> Iterable[str]:
        """What a deploy would not do although somebody might expect it."""
        before = self.before
        if before is not None and before.compose_project != self.wanted.compose_project:
            yield (
                f"the Compose project was {before.compose_project} and is {self.wanted.compose_project} now: "
                "what runs under the old name is left as it is"
            )
        yield from telling(before, self.wanted)
        yield from self._restarts()
        yield from self._volumes()

    def _restarts(self) -> Iterable[str]:
        """`depends_on: restart: true`, which this version does not follow."""
        for host, plan in self.plans.items():
            moved = {one.service for one in plan.of("replace", "create")}
            for one in plan.of("keep", "reload"):
                for needed in sorted(_restarts_with(self.wanted.hosts[host], one.service) & moved):
                    yield (
                        f"{host}/{one.service} asks to be restarted with {needed} "
                        "(depends_on, restart: true); this version leaves it running"
                    )

    def _volumes(self) -> Iterable[str]:
        """Volumes that Compose could only change by deleting them, which no deploy does."""
        for host, plan in self.plans.items():
            old, new = self._before(host), self.wanted.hosts.get(host)
            if old is None or new is None:
                continue
            moved = {one.service for one in plan.of("replace", "create")}
            for name in redefined_volumes(old, new, moved):
                yield (
                    f"{host}: the options of the volume {name} differ; a deploy refuses that, "
                    "because it would delete the volume's data"
                )

    def _reasons(self, operation: Operation) -> tuple[Reason, ...]:
        name, new = operation.service, self.wanted.hosts.get(operation.host)
        if operation.kind == "keep":
            job = operation.reason if _is_job(new, name) else "unchanged"
            return (Reason(kind="unchanged", text=job),)
        if operation.kind == "remove":
            return (self._removal(operation, new),)
        if operation.reason == HOST_ENV_CHANGED:
            texts = self.stale.get(operation.host, {}).get(name) or (HOST_ENV_CHANGED,)
            return tuple(Reason(kind="host-env", text=text) for text in texts)
        if operation.reason.startswith(SHARES_WITH):
            return (Reason(kind="shares-with", text=operation.reason),)
        adopted = self.differing.get((operation.host, name))
        if adopted is not None:
            return (Reason(kind="adopted", text=f"adopted as it ran: {', '.join(adopted)}"),)
        return self._arrival(operation, self._before(operation.host), new)

    def _arrival(
        self, operation: Operation, old: HostManifest | None, new: HostManifest | None
    ) -> tuple[Reason, ...]:
        """Why a container, or the run of a job, comes."""
        name = operation.service
        if operation.reason == ON_ROLLBACK:
            return (Reason(kind="job", text="this goes back to what ran before, and job.on_rollback is set"),)
        if old is None or new is None or name not in old.services:
            return (Reason(kind="new", text="new"),)
        same = old.services[name].hash == new.services[name].hash
        if same and operation.kind == "run_job":
            return (Reason(kind="job", text="this very job has not succeeded yet"),)
        if operation.kind == "create" and old.services[name].job is not None:
            return (Reason(kind="new", text="a job before, a service now"),)
        found = reasons_of(name, old=old, new=new, origins=self.origins.get(name, {}))
        if operation.reason == FIRST_TOLD:
            found = (Reason(kind="gateway", text=BEGINS), *found)
        if operation.kind == "reload":
            return tuple(one for one in found if one.kind == "file") or found
        return tuple(one for one in found if one.kind == "replicas") or found if same else found

    def _removal(self, operation: Operation, new: HostManifest | None) -> Reason:
        name = operation.service
        if operation.reason != "orphan":
            old = self._before(operation.host)
            if old is None or new is None or name not in old.services or name not in new.services:
                return Reason(kind="replicas", text=operation.reason)
            counts = [replicas(one.compose["services"][name]) for one in (old, new)]
            return Reason(kind="replicas", text=f"replicas {counts[0]} -> {counts[1]}")
        if new is not None and name in new.services:
            return Reason(kind="orphan", text="it is a job now")
        if any(name in content.services for content in self.wanted.hosts.values()):
            return Reason(kind="orphan", text="not on this host any more")
        return Reason(kind="orphan", text="not in the project any more")

    def _before(self, host: str) -> HostManifest | None:
        before = self.before
        if before is None or before.compose_project != self.wanted.compose_project:
            return None
        return before.hosts.get(host)


def _restarts_with(content: HostManifest, name: str) -> set[str]:
    """The services, those aside whose container it shares, that a service asks to be restarted with."""
    if _is_job(content, name):
        return set()
    definition: Mapping[str, Any] = content.compose["services"][name]
    needs: Mapping[str, Any] = definition.get("depends_on") or {}
    return {other for other in needs if needs[other].get("restart")} - set(shared_with(definition))


def _is_job(content: HostManifest | None, name: str) -> bool:
    return content is not None and name in content.services and content.services[name].job is not None
