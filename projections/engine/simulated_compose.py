"""What Compose makes of a document on a simulated engine: which containers it replaces, makes and takes away.

The rules are written here a second time, apart from what convergers predict by, so that a wrong prediction
shows. They are those of Compose 5: a container is replaced when the hash of its definition differs, one that
is stopped is started, a service keeps as many as it is scaled to and gives up replaced ones first. To
replace a container takes moments in which a process can die, so `up` is a list of small steps: make the new
one under the name `<12 hex>_<name>`, take the old one away, give the new one its name, start it.

Networks and volumes are names only: nothing is made anew because a network's options changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from projections.engine.port import App, Prediction
from projections.engine.simulated_definition import (
    command_line,
    filled_in,
    networks_of,
    own_networks,
    ports_of,
    providers,
    replicas,
    volume_names,
    volumes_of,
)
from projections.engine.simulated_made import made_with
from projections.engine.simulated_refusals import compose_failed
from projections.engine.simulated_world import (
    COMPOSE_PROJECT,
    COMPOSE_SERVICE,
    ONE_OFF,
    SimulatedContainer,
    World,
)

CONFIG_HASH = "com.docker.compose.config-hash"
_NUMBER = "com.docker.compose.container-number"
_UNHASHED = frozenset({"build", "depends_on", "deploy", "profiles", "pull_policy", "scale"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UpStep:
    """One container's part of an `up`."""

    kind: Literal["create", "recreate", "start", "keep", "remove"]
    service: str
    name: str
    container: str = ""  # id; empty for one that is not there yet


def plan_up(world: World, app: App, services: Sequence[str], *, now: float) -> list[UpStep]:
    """What `up` does, service by service in the order given, providers before those who live in them."""
    steps: list[UpStep] = []
    moving: set[str] = set()
    for service in _providers_first(app, services):
        own = _plan_service(world, app, service, moving=moving, now=now)
        if any(step.kind in {"create", "recreate"} and _is_first(world, app, step) for step in own):
            moving.add(service)
        steps += own
    return steps


def plan_beside(world: World, app: App, counts: Mapping[str, int], *, now: float) -> list[UpStep]:
    """What `up --no-recreate --scale` does: the newest go, what is stopped is started, the rest is made."""
    steps: list[UpStep] = []
    for service, count in sorted(counts.items()):
        mine = world.replicas(service, compose_project=app.compose_project)
        mine.sort(key=lambda one: int(one.labels.get(_NUMBER, "1")))
        newest = reversed(mine[count:])
        steps += [UpStep(kind="remove", service=service, name=one.name, container=one.id) for one in newest]
        for one in mine[:count]:
            state = world.moment(one, now).state
            if state == "paused":
                words = "Error response from daemon: cannot start a paused container, try unpause instead"
                raise compose_failed(service, words)
            kind: Literal["keep", "start"] = "keep" if state in {"running", "restarting"} else "start"
            steps.append(UpStep(kind=kind, service=service, name=one.name, container=one.id))
        first = _next_number(world, app, service)
        for number in range(first, first + count - len(mine)):
            name = f"{app.compose_project}-{service}-{number}"
            fixed = app.document["services"][service].get("container_name")
            steps.append(UpStep(kind="create", service=service, name=str(fixed or name)))
    return steps


def grounds(world: World, app: App) -> tuple[str, ...]:
    """What a dry run goes by beside containers."""
    named = [*world.networks.items(), *world.volumes.items()]
    mine = sorted(name for name, project in named if project == app.compose_project)
    return (world.identity.engine_version, world.identity.api_version, world.volume_question, *mine)


def predict(world: World, app: App, services: Sequence[str], *, now: float) -> Prediction:
    """The same plan as a dry run tells it."""
    steps = plan_up(world, app, services, now=now)

    def names(kind: str) -> tuple[str, ...]:
        return tuple(sorted(step.name for step in steps if step.kind == kind))

    return Prediction(
        recreated=names("recreate"),
        created=names("create"),
        running=names("keep"),
        started=names("start"),
        removed=names("remove"),
        volume_question=world.volume_question,
    )


def make_replica(
    world: World, app: App, service: str, name: str, *, created_at: float, replaces: str = ""
) -> SimulatedContainer:
    """A container of a service, not started; it gets the number of the one, by id, that it `replaces`.

    Raises OutsideError `compose-failed` for a taken name.
    """
    definition = app.document["services"][service]
    if holder := world.holder(name):
        words = f'Conflict. The container name "/{name}" is already in use by container "{holder.id}"'
        raise compose_failed(service, f"Error response from daemon: {words}")
    former = world.containers.get(replaces)
    found = {
        **_labels(app, service),
        CONFIG_HASH: _config_hash(world, app, service),
        _NUMBER: former.labels.get(_NUMBER, "1") if former else str(_next_number(world, app, service)),
        ONE_OFF: "False",
    }
    made = _make(world, app, service, name, found, created_at=created_at)
    made.restart_policy = str(definition.get("restart") or "")
    made.ports, made.chosen = ports_of(world, app, service)
    return made


def make_job(world: World, app: App, service: str, *, created_at: float) -> SimulatedContainer:
    """A one-off container of a service, not started: it holds no port and is never started again."""
    name = f"{app.compose_project}-{service}-run-{hashlib.sha256(str(world.made).encode()).hexdigest()[:12]}"
    found = {**_labels(app, service), ONE_OFF: "True"}
    made = _make(world, app, service, name, found, created_at=created_at)
    made.restart_policy = "no"
    return made


def _plan_service(world: World, app: App, service: str, *, moving: set[str], now: float) -> list[UpStep]:
    definition = app.document["services"][service]
    mark, wanted = _config_hash(world, app, service), replicas(definition)
    mine = world.replicas(service, compose_project=app.compose_project)
    homeless = any(provider in moving for provider in providers(definition))
    old = [one for one in mine if homeless or one.labels.get(CONFIG_HASH) != mark]
    same = [one for one in mine if one not in old]
    surplus = max(len(mine) - wanted, 0)
    gone, replaced = old[:surplus], old[surplus:]
    surplus -= len(gone)
    kept = same[: len(same) - surplus]
    gone += same[len(kept) :]

    def step(kind: Literal["recreate", "start", "keep", "remove"], one: SimulatedContainer) -> UpStep:
        return UpStep(kind=kind, service=service, name=one.name, container=one.id)

    steps = [step("remove", one) for one in gone] + [step("recreate", one) for one in replaced]
    for one in kept:
        running = world.moment(one, now).state in {"running", "restarting"}
        steps.append(step("keep" if running else "start", one))
    first = _next_number(world, app, service)
    for number in range(first, first + wanted - len(kept) - len(replaced)):
        fixed = definition.get("container_name")
        name = str(fixed) if fixed else f"{app.compose_project}-{service}-{number}"
        steps.append(UpStep(kind="create", service=service, name=name))
    return steps


def _make(
    world: World, app: App, service: str, name: str, found: Mapping[str, str], *, created_at: float
) -> SimulatedContainer:
    definition = app.document["services"][service]
    made = world.make(
        name,
        image=str(definition["image"]),
        labels=found,
        created_at=created_at,
        command=command_line(definition),
    )
    made.networks, made.volumes = networks_of(app, service), volumes_of(app, service)
    made.made = made_with(filled_in(app, service), volume_names(app))
    world.networks.update(dict.fromkeys(own_networks(app, service), app.compose_project))
    world.volumes.update({name: app.compose_project for name in made.volumes if name not in world.volumes})
    return made


def _labels(app: App, service: str) -> dict[str, str]:
    own: Mapping[str, object] = app.document["services"][service].get("labels") or {}
    texts = {key: str(value) for key, value in own.items()}
    return {**texts, COMPOSE_PROJECT: app.compose_project, COMPOSE_SERVICE: service}


def _config_hash(world: World, app: App, service: str) -> str:
    """A hash over what Compose hashes; a service that is lived in stands there as its first container."""
    definition = filled_in(app, service)
    hashed = {key: value for key, value in definition.items() if key not in _UNHASHED}
    homes = {name: _first(world, app, name) for name in providers(definition)}
    if homes:
        hashed["homes"] = homes
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()


def _providers_first(app: App, services: Sequence[str]) -> list[str]:
    """The services in an order that Compose can resolve. Raises OutsideError `compose-failed`."""
    ordered: list[str] = []
    left = list(services)
    while left:
        ready = next((one for one in left if not _awaited_homes(app, one, left)), None)
        if ready is None:
            raise compose_failed(left[0], "dependency cycle detected")
        left.remove(ready)
        ordered.append(ready)
    return ordered


def _awaited_homes(app: App, service: str, left: Sequence[str]) -> bool:
    return any(home in left for home in providers(app.document["services"][service]))


def _first(world: World, app: App, service: str) -> str:
    """The id of the replica with the lowest number; empty when there is none."""
    mine = world.replicas(service, compose_project=app.compose_project)
    found = min(mine, key=lambda one: (int(one.labels.get(_NUMBER, "1")), one.id), default=None)
    return "" if found is None else found.id


def _is_first(world: World, app: App, step: UpStep) -> bool:
    """Whether a step makes or takes the place of the container that others live in."""
    first = _first(world, app, step.service)
    return first in {"", step.container}


def _next_number(world: World, app: App, service: str) -> int:
    """One more than the highest, as Compose counts."""
    mine = world.replicas(service, compose_project=app.compose_project)
    return 1 + max((int(one.labels.get(_NUMBER, "1")) for one in mine), default=0)
