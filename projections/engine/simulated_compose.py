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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from events.hostenv import HostEnvFile, values_of
from events.kernel.errors import OutsideError, UserError, Where
from events.references import filled, mapped_texts
from projections.engine.errors import COMPOSE_FAILED, COMPOSE_REFUSED, shown
from projections.engine.port import App, Prediction, PublishedPort
from projections.engine.ports import wanted_ports
from projections.engine.simulated_made import made_with
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
_KEYS = """
    annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs
    container_name cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares
    cpus cpuset credential_spec depends_on deploy develop device_cgroup_rules devices dns dns_opt
    dns_search domainname entrypoint env_file environment expose extends external_links extra_hosts gpus
    group_add healthcheck hostname image init ipc isolation label_file labels links logging mac_address
    mem_limit mem_reservation mem_swappiness memswap_limit models network_mode networks oom_kill_disable
    oom_score_adj pid pids_limit platform ports post_start pre_stop privileged profiles provider
    pull_policy pull_refresh_after read_only restart runtime scale secrets security_opt shm_size
    stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user
    userns_mode uts volumes volumes_from working_dir
"""
_SERVICE_KEYS = frozenset(_KEYS.split())  # of the Compose specification


@dataclass(frozen=True, slots=True, kw_only=True)
class UpStep:
    """One container's part of an `up`."""

    kind: Literal["create", "recreate", "start", "keep", "remove"]
    service: str
    name: str
    container: str = ""  # id; empty for one that is not there yet


def refuse_bad(app: App, services: Sequence[str]) -> None:
    """Raise UserError `compose-refused` for a document, or a choice of services, that Compose refuses."""
    given = app.document.get("services")
    if not isinstance(given, Mapping):
        raise _refused("services must be a mapping")
    known = cast("Mapping[str, object]", given)
    for name, definition in known.items():
        if not isinstance(definition, Mapping):
            raise _refused(f"services.{name} must be a mapping")
        unknown = sorted(set(cast("Mapping[str, object]", definition)) - _SERVICE_KEYS)
        if unknown:
            raise _refused(f"services.{name} additional properties '{unknown[0]}' not allowed")
        if "provider" in definition:
            raise _refused("a `provider` is not supported", service=name)
    for name in services:
        if name not in known:
            raise _refused(f"no such service: {name}")


def refuse_missing_images(world: World, app: App, services: Sequence[str]) -> None:
    """Raise OutsideError `compose-failed`: nothing is pulled, and nothing was touched."""
    for service in services:
        image = str(app.document["services"][service].get("image") or "")
        if world.has_image(image) is None:
            raise compose_failed(service, f"Error response from daemon: No such image: {image}")


def refuse_homeless(app: App, services: Sequence[str]) -> None:
    """Raise OutsideError `compose-failed` for a service that lives in one which was not asked for."""
    for service in services:
        for home in _providers(app.document["services"][service]):
            if home not in services:
                raise compose_failed(service, f"cannot share namespaces with {home}: container missing")


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


def refuse_fixed_names(app: App, counts: Mapping[str, int]) -> None:
    """Raise OutsideError `compose-failed` for several containers that should all have one name."""
    for service, count in sorted(counts.items()):
        fixed = app.document["services"][service].get("container_name")
        if fixed and count > 1:
            raise compose_failed(
                service, f'the "{service}" service is using the custom container name "{fixed}"'
            )


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
    made.ports, made.chosen = _ports(world, app, service)
    return made


def make_job(world: World, app: App, service: str, *, created_at: float) -> SimulatedContainer:
    """A one-off container of a service, not started: it holds no port and is never started again."""
    name = f"{app.compose_project}-{service}-run-{hashlib.sha256(str(world.made).encode()).hexdigest()[:12]}"
    found = {**_labels(app, service), ONE_OFF: "True"}
    made = _make(world, app, service, name, found, created_at=created_at)
    made.restart_policy = "no"
    return made


def refuse_taken_ports(world: World, one: SimulatedContainer, service: str, *, now: float) -> None:
    """Raise OutsideError `compose-failed` when another container that runs holds a port of `one`."""
    held = {
        (port.port, port.protocol)
        for other in world.containers.values()
        if other is not one and world.moment(other, now).state == "running"
        for port in other.ports
    }
    if any((port.port, port.protocol) in held for port in one.ports):
        words = "driver failed programming external connectivity: port is already allocated"
        raise compose_failed(service, words)


def compose_failed(service: str, words: str) -> OutsideError:
    """Compose accepted the document and could not bring it up."""
    return OutsideError(
        COMPOSE_FAILED,
        f"Compose could not bring up {service}",
        where=Where(service=service or None),
        why=shown(words),
        next="see what is there now: `docker ps -a`",
    )


def _plan_service(world: World, app: App, service: str, *, moving: set[str], now: float) -> list[UpStep]:
    definition = app.document["services"][service]
    mark, wanted = _config_hash(world, app, service), _replicas(definition)
    mine = world.replicas(service, compose_project=app.compose_project)
    homeless = any(provider in moving for provider in _providers(definition))
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
        command=_command(definition),
    )
    made.networks, made.volumes = _networks(app, service), _volumes(app, service)
    made.made = made_with(_filled_in(app, service), _volume_names(app))
    world.networks.update(dict.fromkeys(_own_networks(app, service), app.compose_project))
    world.volumes.update({name: app.compose_project for name in made.volumes if name not in world.volumes})
    return made


def _labels(app: App, service: str) -> dict[str, str]:
    own: Mapping[str, object] = app.document["services"][service].get("labels") or {}
    texts = {key: str(value) for key, value in own.items()}
    return {**texts, COMPOSE_PROJECT: app.compose_project, COMPOSE_SERVICE: service}


def _config_hash(world: World, app: App, service: str) -> str:
    """A hash over what Compose hashes; a service that is lived in stands there as its first container."""
    definition = _filled_in(app, service)
    hashed = {key: value for key, value in definition.items() if key not in _UNHASHED}
    homes = {name: _first(world, app, name) for name in _providers(definition)}
    if homes:
        hashed["homes"] = homes
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()


def _filled_in(app: App, service: str) -> Mapping[str, Any]:
    """The definition with the variables of the host's file."""
    definition: Mapping[str, Any] = app.document["services"][service]
    if app.host_file is None:
        return definition
    file = HostEnvFile(path=app.host_file.path)
    values = values_of(app.host_file.content or b"", file)
    return cast("Mapping[str, Any]", mapped_texts(definition, lambda text: filled(text, values)))


def _providers(definition: Mapping[str, Any]) -> list[str]:
    """The services whose container this one is made in: their namespaces or their volumes."""
    texts = [str(definition.get(key) or "") for key in ("network_mode", "ipc", "pid")]
    found = [text.removeprefix("service:") for text in texts if text.startswith("service:")]
    volumes: Iterable[str] = definition.get("volumes_from") or ()
    return [*found, *(one.split(":")[0] for one in volumes if not one.startswith("container:"))]


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
    return any(home in left for home in _providers(app.document["services"][service]))


def _first(world: World, app: App, service: str) -> str:
    """The id of the replica with the lowest number; empty when there is none."""
    mine = world.replicas(service, compose_project=app.compose_project)
    found = min(mine, key=lambda one: (int(one.labels.get(_NUMBER, "1")), one.id), default=None)
    return "" if found is None else found.id


def _is_first(world: World, app: App, step: UpStep) -> bool:
    """Whether a step makes or takes the place of the container that others live in."""
    first = _first(world, app, step.service)
    return first in {"", step.container}


def _replicas(definition: Mapping[str, Any]) -> int:
    deploy: Mapping[str, Any] = definition.get("deploy") or {}
    scale = definition.get("scale", deploy.get("replicas"))
    return 1 if scale is None or deploy.get("mode") == "global" else int(scale)


def _next_number(world: World, app: App, service: str) -> int:
    """One more than the highest, as Compose counts."""
    mine = world.replicas(service, compose_project=app.compose_project)
    return 1 + max((int(one.labels.get(_NUMBER, "1")) for one in mine), default=0)


def _command(definition: Mapping[str, Any]) -> str:
    command: object = definition.get("command")
    return " ".join(cast("list[str]", command)) if isinstance(command, list) else str(command or "")


def _ports(world: World, app: App, service: str) -> tuple[tuple[PublishedPort, ...], tuple[int, ...]]:
    """The fixed ports, the first one of a range, and those of the engine's choice; the numbers of these."""
    everywhere = "0.0.0.0"  # noqa: S104  # what the engine takes for no address
    asked = app.document["services"][service].get("ports") or ()
    targets = {str(port.get("published")).partition("-")[0]: int(port.get("target") or 0) for port in asked}
    fixed = [
        PublishedPort(
            address=port.address or everywhere,
            port=port.first,
            protocol=port.protocol,
            target=targets.get(str(port.first), 0),
        )
        for port in wanted_ports(app.document, [service])
    ]
    chosen = [
        PublishedPort(
            address=str(port.get("host_ip") or everywhere),
            port=world.choose_port(),
            protocol=str(port["protocol"]),
            target=int(port["target"]),
        )
        for port in asked
        if not port.get("published")
    ]
    return (*fixed, *chosen), tuple(port.port for port in chosen)


def _networks(app: App, service: str) -> tuple[str, ...]:
    """Names of the networks: none of its own for a container that shares another one's."""
    definition = app.document["services"][service]
    if mode := str(definition.get("network_mode") or ""):
        return () if ":" in mode else (mode,)
    declared: Mapping[str, Mapping[str, Any] | None] = app.document.get("networks") or {}
    wanted: Iterable[str] = definition.get("networks") or ("default",)
    names = [str((declared.get(key) or {}).get("name") or f"{app.compose_project}_{key}") for key in wanted]
    return tuple(sorted(names))


def _own_networks(app: App, service: str) -> tuple[str, ...]:
    """Those that Compose makes: not a mode of the engine's, not an external one."""
    if app.document["services"][service].get("network_mode"):
        return ()
    declared: Mapping[str, Mapping[str, Any] | None] = app.document.get("networks") or {}
    external = {
        str((one or {}).get("name") or key) for key, one in declared.items() if (one or {}).get("external")
    }
    return tuple(name for name in _networks(app, service) if name not in external)


def _volumes(app: App, service: str) -> tuple[str, ...]:
    """Names of the named volumes that a service mounts."""
    known = _volume_names(app)
    mounts: Iterable[Mapping[str, Any]] = app.document["services"][service].get("volumes") or ()
    keys = {str(one["source"]) for one in mounts if one.get("type") == "volume" and one.get("source")}
    return tuple(sorted({known.get(key, f"{app.compose_project}_{key}") for key in keys}))


def _volume_names(app: App) -> dict[str, str]:
    """The full name of each declared volume."""
    declared: Mapping[str, Mapping[str, Any] | None] = app.document.get("volumes") or {}
    return {
        key: str((one or {}).get("name") or f"{app.compose_project}_{key}") for key, one in declared.items()
    }


def _refused(words: str, *, service: str | None = None) -> UserError:
    return UserError(
        COMPOSE_REFUSED,
        "Compose does not accept the document",
        where=Where(service=service),
        why=words,
        next="see the document with `stagecraft config render` and correct the Compose file",
    )
