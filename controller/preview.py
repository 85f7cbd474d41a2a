"""`plan`: what a deploy of this commit would do, computed without touching anything.

A pure comparison of two Manifests: the one this commit leads to and the one that is deployed by the log. An
image that was never pinned here cannot be resolved without asking an engine or a registry, so it is shown
as written and its service counts as changed. Everything is sorted; the same input gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from controller.differences import describe_change
from controller.permitting import Permits
from events.kernel.canonical import digest_of
from events.kernel.errors import UserError, error_code
from events.manifest import ImagePin
from gitops.manifest import complete, unpinned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from events.manifest import HostManifest, Manifest
    from gitops.manifest import Draft

SERVICE_UNKNOWN = error_code("service-unknown", "The project has no service of this name.")

Action = Literal["create", "replace", "remove", "keep"]
SIGNS: dict[Action, str] = {"create": "+", "replace": "~", "remove": "-", "keep": "="}
_ROLE_RANK = {"db": 0, "cache": 1, "gateway": 9}  # data first, traffic last, all others between
_ANY_ROLE_RANK = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What would become of one service on one host."""

    host: str
    service: str
    action: Action
    reason: str

    def as_json(self) -> dict[str, str]:
        """The object that `plan --format json` prints."""
        return {"host": self.host, "service": self.service, "action": self.action, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPhase:
    """One step of the plan."""

    id: str
    kind: Literal["deploy", "health_check"]
    services: tuple[str, ...]
    hosts: tuple[str, ...]
    description: str
    depends_on: tuple[str, ...]
    changes: tuple[Change, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The object that `plan --format json` prints."""
        return {
            "id": self.id,
            "kind": self.kind,
            "services": list(self.services),
            "hosts": list(self.hosts),
            "description": self.description,
            "depends_on": list(self.depends_on),
            "metadata": {"changes": [change.as_json() for change in self.changes]},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """All that `plan` prints."""

    project: str
    environment: str
    version: str
    revision: str
    digest: str | None  # None while an image is not pinned yet
    services: tuple[str, ...]  # the filter; empty: all
    hosts: tuple[str, ...]
    phases: tuple[PlanPhase, ...]
    changes: tuple[Change, ...]
    unpinned: tuple[str, ...]  # references that a deploy would resolve
    findings: tuple[str, ...]
    host_variables: Mapping[str, tuple[str, ...] | None] = field(
        default_factory=dict[str, "tuple[str, ...] | None"]
    )
    """Names that env files of this machine supply, by path; None: the file cannot be used."""
    refused: tuple[str, ...] = ()  # what it asks for and is not allowed: a deploy would not begin

    @property
    def has_changes(self) -> bool:
        """Whether a deploy would touch any container."""
        return any(change.action != "keep" for change in self.changes)

    def as_json(self) -> dict[str, Any]:
        """The object that `plan --format json` prints; its keys are a published contract."""
        return {
            "env": self.environment,
            "version": self.version,
            "phases": [phase.as_json() for phase in self.phases],
            "project": self.project,
            "revision": self.revision,
            "digest": self.digest,
            "services": list(self.services),
            "hosts": list(self.hosts),
            "changes": [change.as_json() for change in self.changes],
            "unpinned": list(self.unpinned),
            "findings": list(self.findings),
            "host_variables": {
                path: None if names is None else list(names) for path, names in self.host_variables.items()
            },
            "refused": list(self.refused),
        }


def preview(
    made: Draft,
    *,
    pins: Mapping[str, ImagePin],
    deployed: Manifest | None,
    revision: str,
    only: Sequence[str] = (),
    permits: Permits | None = None,
    host_variables: Mapping[str, tuple[str, ...] | None] | None = None,
) -> Preview:
    """Compare what `made` would run with what is deployed.

    `pins` may lack references that were never pinned here. `only` keeps the phases of these services.
    `host_variables` is what env files on this machine hold. Raises UserError `service-unknown`.
    """
    unresolved = tuple(sorted(unpinned(made, pins)))
    wanted = complete(made, {**pins, **stand_ins(unresolved)})
    _check_known(wanted, only)
    permits = permits or Permits()
    changes = tuple(_as_adopted(one, permits.state.differing) for one in _changes(wanted, deployed))
    kept = tuple(one for one in changes if not only or one.service in only)
    return Preview(
        project=made.project,
        environment=made.environment,
        version=made.version,
        revision=revision,
        digest=None if unresolved else wanted.digest,
        services=tuple(sorted(only)),
        hosts=tuple(sorted(wanted.hosts)),
        phases=tuple(_phases(wanted, kept, only=only)),
        changes=kept,
        unpinned=unresolved,
        findings=tuple(str(finding) for finding in made.findings),
        host_variables=host_variables or {},
        refused=permits.refused(wanted, unset_variables=made.unset_variables),
    )


def stand_ins(references: Iterable[str]) -> dict[str, ImagePin]:
    """Pins that mean no image, for references that nobody has resolved; never for anything that is run."""
    return {
        ref: ImagePin(ref=ref, pin=digest_of({"unresolved": ref}), pin_kind="image-id") for ref in references
    }


def _check_known(wanted: Manifest, only: Iterable[str]) -> None:
    known = {name for host in wanted.hosts.values() for name in host.services}
    for name in only:
        if name not in known:
            raise UserError(
                SERVICE_UNKNOWN,
                f"no service {name!r}",
                why=f"known services: {', '.join(sorted(known))}",
                next="name some of them with --services A,B",
            )


def _changes(wanted: Manifest, deployed: Manifest | None) -> Iterable[Change]:
    before = {} if deployed is None else dict(deployed.hosts)
    for host in sorted({*wanted.hosts, *before}):
        yield from _host_changes(host, wanted.hosts.get(host), before.get(host))


def _host_changes(host: str, wanted: HostManifest | None, before: HostManifest | None) -> Iterable[Change]:
    new = {} if wanted is None else wanted.services
    old = {} if before is None else before.services
    for name in sorted({*new, *old}):
        if name not in new:
            yield Change(host=host, service=name, action="remove", reason="not in the project any more")
        elif name not in old:
            yield Change(host=host, service=name, action="create", reason="new")
        elif new[name].hash == old[name].hash:
            yield Change(host=host, service=name, action="keep", reason="unchanged")
        elif wanted is not None and before is not None:
            reason = describe_change(name, old=before, new=wanted)
            yield Change(host=host, service=name, action="replace", reason=reason)


def _as_adopted(change: Change, differing: Mapping[tuple[str, str], tuple[str, ...]]) -> Change:
    """What was taken over although it differs is replaced by the next deploy, whatever that changes."""
    fields = differing.get((change.host, change.service))
    if fields is None or change.action != "keep":
        return change
    return replace(change, action="replace", reason=f"adopted as it ran: {', '.join(fields)}")


def _phases(wanted: Manifest, changes: tuple[Change, ...], *, only: Sequence[str]) -> Iterable[PlanPhase]:
    """One deploy phase a role, data first and gateways last, then one look at everything's health."""
    placed: dict[str, set[tuple[str, str]]] = {}
    for host, content in wanted.hosts.items():
        for name, service in content.services.items():
            if not only or name in only:
                placed.setdefault(service.role, set()).add((host, name))
    earlier: list[str] = []
    for role in sorted(placed, key=lambda role: (_ROLE_RANK.get(role, _ANY_ROLE_RANK), role)):
        services = tuple(sorted({name for _host, name in placed[role]}))
        phase = PlanPhase(
            id=f"DEPLOY_{_upper(role)}",
            kind="deploy",
            services=services,
            hosts=tuple(sorted({host for host, _name in placed[role]})),
            description=f"Bring {', '.join(services)} to this version",
            depends_on=tuple(earlier[-1:]),
            changes=tuple(one for one in changes if one.service in services),
        )
        earlier.append(phase.id)
        yield phase
    everything = {pair for pairs in placed.values() for pair in pairs}
    if everything:
        yield PlanPhase(
            id="HEALTH_CHECK",
            kind="health_check",
            services=tuple(sorted({name for _host, name in everything})),
            hosts=tuple(sorted({host for host, _name in everything})),
            description="Wait until every service is up by its gate",
            depends_on=tuple(sorted(earlier)),
        )


def _upper(role: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in role.upper())
