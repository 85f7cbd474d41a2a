"""From what should run and what runs to the operations in between: a pure function.

Equality is the label `service-hash`: the hash covers everything that reaches a container, so a container
with the wanted hash that is in the wanted state runs as the Manifest says, and a Release that changes one
service leaves the others alone. What the hash leaves out, the content of files that a service is told of by a
signal, comes as an answer beside it. Asking Compose (`up --dry-run`) was dropped for this: it takes 50 ms and
a process at every idle pass, where one listing through the API takes 2 ms.

Jobs are history, not state: whether one has to run is the log's knowledge, its containers count as nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from events import labels
from events.kernel.errors import UserError, Where, error_code
from events.manifest import HostManifest, Manifest, Service
from projections.converge.adopted import hash_as_it_is
from projections.converge.conflicts import environment_path, refuse_conflicts, replicas
from projections.converge.operations import AT_REST, KEPT_ORPHAN, UP_KINDS, HostPlan, Operation
from projections.converge.sharers import with_sharers
from projections.converge.strategy import exchange
from projections.converge.untold import Untold
from projections.engine.port import Container
from projections.engine.ports import WantedPort, wanted_ports
from projections.engine.sweep import Owner

MANIFEST_EMPTY = error_code(
    "manifest-empty", "A Manifest without any service asks for nothing; it never removes what runs."
)

FILES_CHANGED = "mounted files changed"
HOST_ENV_CHANGED = "an env file of the host changed"
ON_ROLLBACK = "on rollback"
FIRST_TOLD = "changed once, to be told of routes from now on; nobody comes through it meanwhile"
"""The reason of the replacement of a gateway that ran before it was told of anything."""
JobKey = tuple[str, str, str]  # (host, service, service hash)

_RUNNING = frozenset({"running", "restarting"})
_STARTABLE = frozenset({"created", "exited"})
_UP = _RUNNING | {"paused"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a plan is asked for, beside the Manifest and the containers."""

    host: str
    owner: Owner
    compose_project: str
    succeeded_jobs: frozenset[JobKey] = frozenset()
    known_services: frozenset[str] = frozenset()  # ran here before: absent means `missing`, not `new`
    going_back: bool = False  # jobs with `on_rollback` run again unless they are in `rerun_jobs`
    rerun_jobs: frozenset[JobKey] = frozenset()
    bound: Mapping[str, str] = field(default_factory=dict[str, str])
    """Keyed digest of the host's env files, by service; a service that is not here is not compared."""
    untold: Untold = field(default_factory=dict[str, "frozenset[str] | None"])
    """Containers, by service, that are to be told of changed files; None: all of them."""
    lets_be: bool = False  # what was adopted although it differs stays: nobody asked for a Release
    stopped: Mapping[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """By host and service, the hash that a person stopped; with another hash it runs."""
    altered: Mapping[str, str] = field(default_factory=dict[str, str])
    """By id, what somebody changed on a container since it was made; see `altered.py`."""
    kept: Collection[tuple[str, str]] = ()  # `(host, service)` that left, and wait for a person's word
    first_told: str = ""  # the gateway that runs and is told of routes from now on; empty: none

    def rests(self, name: str, service: Service) -> bool:
        """Whether a person stopped the service as it is wanted."""
        return self.stopped.get((self.host, name)) == service.hash


def plan(content: HostManifest, containers: Iterable[Container], question: Question) -> HostPlan:
    """The operations that make `containers` (of the Compose project, stopped ones too) equal to `content`.

    Raises UserError `manifest-empty` when there is no service at all, and `container-not-ours` when a
    container of somebody else stands where a service has to run.
    """
    if not content.services:
        raise UserError(
            MANIFEST_EMPTY,
            "the Manifest names no service for this host, so nothing is changed",
            where=Where(environment=environment_path(question.owner), host=question.host),
            next="check the Compose file and the roles with `stagecraft config render`",
        )
    definitions: Mapping[str, Mapping[str, Any]] = content.compose.get("services", {})
    found = list(containers)
    refuse_conflicts(
        found,
        owner=question.owner,
        host=question.host,
        compose_project=question.compose_project,
        services=definitions,
    )
    ours = _by_service(found, question.owner)
    operations = [
        operation
        for name in sorted(content.services)
        for operation in _for_service(
            question, name, content=content, definition=definitions.get(name, {}), present=ours.get(name, [])
        )
    ]
    resting = {operation.service for operation in operations if operation.reason == AT_REST}
    living = {
        name: group for name, group in ours.items() if _is_lasting(content, name) and name not in resting
    }
    operations = with_sharers(operations, definitions, living)
    operations += _orphans(content, operations, ours=ours, question=question)
    return HostPlan(host=question.host, operations=tuple(operations))


def plan_removal(containers: Iterable[Container], *, host: str, owner: Owner) -> HostPlan:
    """The plan for a host that left the Manifest: everything of ours goes, by id."""
    ours = _by_service(containers, owner)
    return HostPlan(
        host=host,
        operations=tuple(
            Operation(
                kind="remove",
                host=host,
                service=name,
                reason="orphan",
                containers=tuple(c.id for c in present),
            )
            for name, present in sorted(ours.items())
        ),
    )


def first_told(wanted: Manifest, known: Manifest | None) -> str:
    """The gateway that ran as `known` without being told of routes, and is told by `wanted`; empty: none."""
    if wanted.routing is None or known is None or known.routing is not None:
        return ""
    return wanted.routing.gateway.service


def _by_service(containers: Iterable[Container], owner: Owner) -> dict[str, list[Container]]:
    """Our replicas by service; runs of jobs are left out."""
    found: dict[str, list[Container]] = defaultdict(list)
    for container in containers:
        if owner.owns(container) and not container.one_off and container.service is not None:
            found[container.service].append(container)
    return {name: sorted(group, key=lambda c: (c.name, c.id)) for name, group in found.items()}


def _for_service(
    question: Question,
    name: str,
    *,
    content: HostManifest,
    definition: Mapping[str, Any],
    present: list[Container],
) -> list[Operation]:
    service = content.services[name]
    if service.job is not None:
        return [_for_job(question, name, service)]
    if question.rests(name, service):
        return [_at_rest(question.host, name, present)]
    as_wanted = {service.hash, *([hash_as_it_is(service.hash)] if question.lets_be else [])}
    same = [c for c in present if c.service_hash in as_wanted]
    bound = question.bound.get(name)
    right = [c for c in same if bound is None or c.labels.get(labels.HOST_ENV) == bound]
    if len(right) < len(present):
        changed = FIRST_TOLD if name == question.first_told else "changed"
        reason = changed if len(same) < len(present) else HOST_ENV_CHANGED
        going = [c for c in present if c not in right]
        return [exchange(name, content, present=present, going=going, reason=reason, host=question.host)]
    if (wrong := _wrong(question, name, right)) is not None:
        return [wrong]
    return _as_many(question, name, right, wanted=replicas(definition))


def _wrong(question: Question, name: str, right: list[Container]) -> Operation | None:
    """The replacement of containers that have the wanted hash and are not as they should be all the same."""
    host = question.host
    if stuck := [c for c in right if c.state not in _RUNNING | _STARTABLE]:
        return _replacement(host, name, stuck, stuck[0].state, removes_first=True)
    if altered := [c for c in right if c.id in question.altered]:
        reason = "; ".join(sorted({question.altered[c.id] for c in altered}))
        return _replacement(host, name, altered, reason, removes_first=True, stops_first=True)
    return None


def _as_many(question: Question, name: str, right: list[Container], *, wanted: int) -> list[Operation]:
    """As many of the right ones as wanted, running, and told of their files."""
    host = question.host
    # Running ones first, so that a surplus takes stopped ones away.
    ordered = sorted(right, key=lambda c: c.state not in _RUNNING)
    stay, surplus = ordered[:wanted], ordered[wanted:]
    operations: list[Operation] = []
    if surplus:
        operations.append(
            Operation(
                kind="remove",
                host=host,
                service=name,
                reason="duplicate",
                containers=tuple(c.id for c in surplus),
            )
        )
    told = _untold(question, name, stay)
    if told:
        operations.append(
            Operation(kind="reload", host=host, service=name, reason=FILES_CHANGED, containers=told)
        )
    if len(stay) < wanted:
        known = name in question.known_services or bool(stay)
        return [
            *operations,
            Operation(kind="create", host=host, service=name, reason="missing" if known else "new"),
        ]
    if stopped := tuple(c.id for c in stay if c.state in _STARTABLE):
        operations.append(
            Operation(kind="start", host=host, service=name, reason="stopped", containers=stopped)
        )
    elif not surplus and not told:
        ids = tuple(c.id for c in stay)
        operations.append(
            Operation(
                kind="keep", host=host, service=name, reason="runs as the Manifest says", containers=ids
            )
        )
    return operations


def _at_rest(host: str, name: str, present: Iterable[Container]) -> Operation:
    """A service that a person stopped is down; one that somebody started meanwhile is stopped again."""
    up = tuple(c.id for c in present if c.state in _UP)
    return Operation(
        kind="stop" if up else "keep",
        host=host,
        service=name,
        reason=AT_REST,
        containers=up or tuple(c.id for c in present),
    )


def _untold(question: Question, name: str, stay: Iterable[Container]) -> tuple[str, ...]:
    """Those that run and are to be told; one that is stopped reads its files when it is started."""
    if name not in question.untold:
        return ()
    ids = question.untold[name]
    return tuple(c.id for c in stay if c.state in _RUNNING and (ids is None or c.id in ids))


def _for_job(question: Question, name: str, service: Service) -> Operation:
    key = (question.host, name, service.hash)
    if key not in question.succeeded_jobs:
        return Operation(kind="run_job", host=question.host, service=name, reason="new")
    again = question.going_back and service.job is not None and service.job.on_rollback
    if again and key not in question.rerun_jobs:
        return Operation(kind="run_job", host=question.host, service=name, reason=ON_ROLLBACK)
    return Operation(kind="keep", host=question.host, service=name, reason="succeeded before")


def _replacement(
    host: str,
    name: str,
    going: list[Container],
    reason: str,
    *,
    removes_first: bool = False,
    stops_first: bool = False,
) -> Operation:
    ids = tuple(container.id for container in going)
    return Operation(
        kind="replace",
        host=host,
        service=name,
        reason=reason,
        containers=ids,
        removes_first=ids if removes_first else (),
        stops_first=stops_first,
    )


def _is_lasting(content: HostManifest, name: str) -> bool:
    """Whether the Manifest wants it to run for good."""
    service = content.services.get(name)
    return service is not None and service.job is None


def _orphans(
    content: HostManifest,
    operations: Collection[Operation],
    *,
    ours: Mapping[str, list[Container]],
    question: Question,
) -> list[Operation]:
    """Our containers whose service is not in the Manifest, or became a job; they go by id."""
    arriving = [operation.service for operation in operations if operation.kind in UP_KINDS]
    wanted = wanted_ports(content.compose, arriving)
    definitions = content.compose.get("services", {})
    names = {str(definitions.get(name, {}).get("container_name") or "") for name in arriving}
    orphans: list[Operation] = []
    for name, present in sorted(ours.items()):
        service = content.services.get(name)
        if service is not None and service.job is None:
            continue
        blocks = any(c.name in names or _holds(c, wanted) for c in present)
        waits = (question.host, name) in question.kept and not blocks
        orphans.append(
            Operation(
                kind="keep" if waits else "remove",
                host=question.host,
                service=name,
                reason=KEPT_ORPHAN if waits else "orphan",
                containers=tuple(c.id for c in present),
                clears_way=blocks,
            )
        )
    return orphans


def _holds(container: Container, wanted: Iterable[WantedPort]) -> bool:
    """Whether it publishes a wanted port; addresses are left out, for a needless early removal is safe."""
    held = {(port.port, port.protocol) for port in container.ports}
    return any(
        (number, port.protocol) in held for port in wanted for number in range(port.first, port.last + 1)
    )
