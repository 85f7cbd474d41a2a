"""The steps of a plan: images, jobs and services by role, in an order in which each finds what it waits for.

A step is one kind of work for one role, and a role has one step of a kind unless its services wait for each
other through a step of another role or kind; then it goes on in a second one, `DEPLOY_APP_2`. Where nothing
waits for anything, data comes first and gateways last. (One order for all roles was dropped: a `depends_on`
against it would be told wrongly.)
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from projections.converge.waves import ANY_ROLE_RANK, ROLE_RANKS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from controller.changes import Change
    from events.manifest import Manifest

Kind = Literal["build", "migrate", "deploy", "health_check"]
_PREFIXES: dict[Kind, str] = {"build": "BUILD", "migrate": "MIGRATE", "deploy": "DEPLOY"}
HEALTH_CHECK = "HEALTH_CHECK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that does not come from elsewhere: the project makes it."""

    service: str
    ref: str
    source: Literal["built-here", "awaited-from-ci"]
    known: bool  # it was made, and pinned here, before

    def as_json(self) -> dict[str, Any]:
        """The object that `plan --format json` prints."""
        return {"service": self.service, "ref": self.ref, "source": self.source, "known": self.known}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPhase:
    """One step of the plan."""

    id: str
    kind: Kind
    services: tuple[str, ...]
    hosts: tuple[str, ...]
    description: str
    depends_on: tuple[str, ...]
    roles: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    images: tuple[Image, ...] = ()

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """`(host, service)` for each of its services on each of its hosts."""
        return {(host, name) for host in self.hosts for name in self.services}

    def with_changes(self, changes: Iterable[Change]) -> PlanPhase:
        """The step with what it does to its services; one about images or health does nothing to any."""
        if self.kind not in ("deploy", "migrate"):
            return self
        return replace(self, changes=tuple(one for one in changes if (one.host, one.service) in self.pairs))

    def narrowed(self, pairs: Collection[tuple[str, str]]) -> PlanPhase:
        """The step without other services and hosts than those in `pairs`."""
        kept = self.pairs & set(pairs)
        services = tuple(sorted({name for _host, name in kept}))
        images = tuple(image for image in self.images if image.service in services)
        return replace(
            self,
            services=services,
            hosts=tuple(sorted({host for host, _name in kept})),
            description=_description(self.kind, services, images),
            images=images,
        )

    def as_json(self) -> dict[str, Any]:
        """The object that `plan --format json` prints."""
        metadata: dict[str, Any] = {
            "roles": list(self.roles),
            "changes": [change.as_json() for change in self.changes],
        }
        if self.kind == "build":
            metadata["images"] = [image.as_json() for image in self.images]
        return {
            "id": self.id,
            "kind": self.kind,
            "services": list(self.services),
            "hosts": list(self.hosts),
            "description": self.description,
            "depends_on": list(self.depends_on),
            "metadata": metadata,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """A service wherever it runs."""

    name: str
    role: str
    kind: Kind  # `migrate` for a job, else `deploy`
    hosts: frozenset[str]
    waits: frozenset[str]

    @property
    def group(self) -> tuple[str, Kind]:
        """What it may share a step with."""
        return self.role, self.kind


@dataclass(slots=True, kw_only=True)
class _Course:
    """The steps so far."""

    nodes: Mapping[str, _Node]
    builds: tuple[PlanPhase, ...]
    steps: list[PlanPhase] = field(default_factory=list[PlanPhase])
    done: dict[str, str] = field(default_factory=dict[str, str])  # {service: id of its step}

    def add(self, group: tuple[str, Kind], names: Collection[str]) -> None:
        """One more step for these services."""
        role, kind = group
        chosen = [self.nodes[name] for name in sorted(names)]
        waits = {self.done[other] for one in chosen for other in one.waits if other in self.done}
        built = {step.id for step in self.builds if set(step.services) & set(names)}
        before = [step.id for step in self.steps if step.kind == "deploy"][-1:] if kind == "deploy" else []
        step = PlanPhase(
            id=_unused(kind, role, {step.id for step in (*self.builds, *self.steps)}),
            kind=kind,
            services=tuple(one.name for one in chosen),
            hosts=tuple(sorted({host for one in chosen for host in one.hosts})),
            description=_description(kind, [one.name for one in chosen], ()),
            depends_on=tuple(sorted({*waits, *built, *before})),
            roles=(role,),
        )
        self.steps.append(step)
        self.done.update(dict.fromkeys(names, step.id))


def steps_of(wanted: Manifest, images: Iterable[Image]) -> tuple[PlanPhase, ...]:
    """All steps, each after those it depends on, ending with a look at everything's health."""
    nodes = _nodes(wanted)
    course = _Course(nodes=nodes, builds=tuple(_builds(nodes, images)))
    left = set(nodes)
    while left:
        group, names = _next(nodes, left)
        course.add(group, names)
        left -= names
    steps = (*course.builds, *course.steps)
    deploys = [step for step in course.steps if step.kind == "deploy"]
    if not deploys:
        return steps
    health = PlanPhase(
        id=HEALTH_CHECK,
        kind="health_check",
        services=tuple(sorted({name for step in deploys for name in step.services})),
        hosts=tuple(sorted({host for step in deploys for host in step.hosts})),
        description=_description("health_check", (), ()),
        depends_on=tuple(sorted(step.id for step in deploys)),
        roles=tuple(sorted({role for step in deploys for role in step.roles})),
    )
    return (*steps, health)


def _nodes(wanted: Manifest) -> dict[str, _Node]:
    found: dict[str, _Node] = {}
    for host, content in sorted(wanted.hosts.items()):
        for name, service in sorted(content.services.items()):
            same = found.get(name)
            found[name] = _Node(
                name=name,
                role=service.role,
                kind="deploy" if service.job is None else "migrate",
                hosts=frozenset({host}) | (same.hosts if same else frozenset[str]()),
                waits=frozenset(service.waits_for) | (same.waits if same else frozenset[str]()),
            )
    return found


def _builds(nodes: Mapping[str, _Node], images: Iterable[Image]) -> Iterable[PlanPhase]:
    by_role: dict[str, list[Image]] = defaultdict(list)
    for image in sorted(images, key=lambda one: one.service):
        if image.service in nodes:
            by_role[nodes[image.service].role].append(image)
    taken: set[str] = set()
    for role in sorted(by_role, key=_rank):
        made = by_role[role]
        step_id = _unused("build", role, taken)
        taken.add(step_id)
        yield PlanPhase(
            id=step_id,
            kind="build",
            services=tuple(sorted(one.service for one in made)),
            hosts=tuple(sorted({host for one in made for host in nodes[one.service].hosts})),
            description=_description("build", (), made),
            depends_on=(),
            roles=(role,),
            images=tuple(made),
        )


def _next(nodes: Mapping[str, _Node], left: Collection[str]) -> tuple[tuple[str, Kind], set[str]]:
    """The step that comes next: a whole group where one can be whole, else as much of one as can be."""
    groups: dict[tuple[str, Kind], set[str]] = defaultdict(set)
    for name in left:
        groups[nodes[name].group].add(name)
    ready = {group: _ready(nodes, names, left) for group, names in groups.items()}
    possible = [group for group, names in ready.items() if names]
    if not possible:  # a circle, which Compose refuses: told as it is, at once
        possible, ready = list(groups), groups
    chosen = min(possible, key=lambda one: (ready[one] != groups[one], _rank(one[0]), one[1] == "deploy"))
    return chosen, ready[chosen]


def _ready(nodes: Mapping[str, _Node], names: Collection[str], left: Collection[str]) -> set[str]:
    """Those of a group that wait for nothing that is left outside of it, directly or through each other."""
    chosen = set(names)
    while waiting := {name for name in chosen if nodes[name].waits & (set(left) - chosen)}:
        chosen -= waiting
    return chosen


def _rank(role: str) -> tuple[int, str]:
    return ROLE_RANKS.get(role, ANY_ROLE_RANK), role


def _description(kind: Kind, names: Iterable[str], images: Iterable[Image]) -> str:
    text = ", ".join(names)
    if kind == "health_check":
        return "Wait until every service is up by its gate"
    if kind == "build":
        return _origin_of(images)
    return f"Run {text} to the end" if kind == "migrate" else f"Bring {text} to this version"


def _origin_of(images: Iterable[Image]) -> str:
    made = list(images)
    built = ", ".join(one.service for one in made if one.source == "built-here")
    awaited = ", ".join(one.service for one in made if one.source == "awaited-from-ci")
    if not awaited:
        return f"Build {built} here"
    return f"Build {built} here, await {awaited} from CI" if built else f"Await {awaited} from CI"


def _unused(kind: Kind, role: str, taken: Collection[str]) -> str:
    """An id such as `DEPLOY_APP`, with a number where a step has it, also one of a role spelled alike."""
    letters = "".join(letter if letter.isalnum() else "_" for letter in role.upper())
    first = f"{_PREFIXES[kind]}_{letters}"
    return next(
        one
        for one in (first, *(f"{first}_{number}" for number in range(2, len(taken) + 3)))
        if one not in taken
    )
