"""A simulated engine behind the `Engine` port: containers in memory, with scripted lives and faults.

It does what the real pair of engine and Compose does as far as convergers can tell: names, labels, hashes,
replicas, ports, jobs; recreation by difference of definition; exit codes that prove nothing. How a
container lives is told by its image: `lives["web@bad"] = Life(exits_after=0.0, exit_code=3)`. Time is the
clock's, so a health check that takes a minute takes none.

Faults come from outside: `before` is called with the name and argument of each call and may raise, also
to play the part of a person who changes something in the middle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from events import labels
from events.kernel.clock import Clock
from events.kernel.errors import OutsideError
from events.kernel.process import PROCESS_TIMED_OUT
from projections.converge.conflicts import COMPOSE_PROJECT, COMPOSE_SERVICE, replicas
from projections.engine.errors import COMPOSE_FAILED, IMAGE_NOT_FOUND, engine_refused, engine_unreachable
from projections.engine.port import (
    App,
    Container,
    ContainerDetail,
    ContainerState,
    EngineIdentity,
    Health,
    Image,
    Prediction,
    PublishedPort,
)
from projections.engine.ports import wanted_ports

IDENTITY = EngineIdentity(
    machine="machine-1", engine="engine-1", engine_version="20.10.24", api_version="1.41"
)
ONE_OFF = "com.docker.compose.oneoff"
DEFINITION = "simulated.definition"  # stands for Compose's own config hash
_ENDED = ("exited", "dead")


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What becomes of a container after its start; times in seconds after it, None: never."""

    exits_after: float | None = None
    exit_code: int = 0
    restarts: bool = False  # the engine starts it again each time it ends
    oom_killed: bool = False
    healthy_after: float | None = None  # with either of these two it has a health check
    unhealthy_after: float | None = None
    health_output: str = ""
    health_budget_seconds: float = 0.0
    start_error: str = ""  # the engine's words; it stays `created`
    log: tuple[str, ...] = ()


STEADY = Life()
ENDS_WELL = Life(exits_after=0.0)


@dataclass(slots=True, kw_only=True)
class Simulated:
    """A container in the engine's memory."""

    id: str
    name: str
    image: str
    labels: dict[str, str]
    life: Life
    ports: tuple[PublishedPort, ...] = ()
    started_at: float | None = None  # monotonic seconds; None: created only
    stopped: ContainerState | None = None  # set by stop, pause and the like
    stopped_code: int = 0


@dataclass(slots=True)
class SimulatedEngine:
    """The engine; tests reach into its fields as a person reaches into a real one."""

    clock: Clock
    images: dict[str, str] = field(default_factory=dict[str, str])  # text -> id
    registry: dict[str, str] = field(default_factory=dict[str, str])  # what a pull would find
    lives: dict[str, Life] = field(default_factory=dict[str, Life])  # by image text, else STEADY
    identity_now: EngineIdentity = IDENTITY
    reachable: bool = True
    volume_question: str = ""
    ignores_up: bool = False  # Compose says yes and does nothing
    show_restarting_as_running: bool = False  # a look that falls between two ends of a crash loop
    before: Callable[[str, str], None] | None = None
    calls: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    alive: dict[str, Simulated] = field(default_factory=dict[str, Simulated])
    _count: int = 0

    # What a test does to it

    def add(
        self, name: str, *, image: str = "web", found: Mapping[str, str] | None = None, **more: object
    ) -> str:
        """Start a container by hand; answers its id."""
        made = self._make(name, image=image, found=dict(found or {}))
        for key, value in more.items():
            setattr(made, key, value)
        if "started_at" not in more:
            made.started_at = self.clock.monotonic()
        return made.id

    def named(self, name: str) -> Simulated:
        """The container of that name."""
        return next(one for one in self.alive.values() if one.name == name)

    def ids(self, service: str) -> list[str]:
        """Ids of a service's containers, jobs aside, by name."""
        found = [
            one
            for one in self.alive.values()
            if one.labels.get(COMPOSE_SERVICE) == service and one.labels.get(ONE_OFF) != "True"
        ]
        return [one.id for one in sorted(found, key=lambda one: one.name)]

    def count(self, call: str) -> int:
        """How often a call was made."""
        return sum(1 for name, _ in self.calls if name == call)

    # The port

    async def identity(self) -> EngineIdentity:
        self._call("identity", "")
        return self.identity_now

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        self._call("containers", compose_project or "")
        found = [
            self._shown(one)
            for one in self.alive.values()
            if compose_project is None or one.labels.get(COMPOSE_PROJECT) == compose_project
        ]
        return sorted(found, key=lambda container: container.name)

    async def inspect(self, container_id: str) -> ContainerDetail | None:
        self._call("inspect", container_id)
        one = self.alive.get(container_id)
        if one is None:
            return None
        state, restarts, code = self._state(one)
        life = one.life
        return ContainerDetail(
            container=self._shown(one),
            exit_code=code,
            restart_count=restarts,
            restart_policy="always" if life.restarts else "no",
            oom_killed=life.oom_killed and (state in _ENDED or restarts > 0),
            error=life.start_error if state == "created" else "",
            health_check=_has_check(life),
            health_output=life.health_output,
            health_failing_streak=0,
            health_budget_seconds=life.health_budget_seconds,
        )

    async def image(self, ref: str) -> Image | None:
        self._call("image", ref)
        known = self.images.get(ref) or (ref if ref in self.images.values() else None)
        return None if known is None else Image(id=known, repo_digests=())

    async def registry_digest(self, ref: str) -> str:
        self._call("registry_digest", ref)
        return self.registry[ref]

    async def pull(self, ref: str) -> Image:
        self._call("pull", ref)
        if ref not in self.registry:
            raise OutsideError(IMAGE_NOT_FOUND, f"the registry has no image {ref}", why="manifest unknown")
        self.images[ref] = self.registry[ref]
        return Image(id=self.registry[ref], repo_digests=())

    async def tag(self, image_id: str, name: str) -> None:
        self._call("tag", name)
        self.images[name] = image_id

    async def logs(self, container_id: str, *, tail: int) -> tuple[str, ...]:
        self._call("logs", container_id)
        one = self.alive.get(container_id)
        return () if one is None else one.life.log[-tail:]

    async def start(self, container_id: str) -> None:
        self._call("start", container_id)
        if container_id not in self.alive:
            raise engine_refused(f"start {container_id}", "No such container")
        self._start(self.alive[container_id])

    async def stop(self, container_id: str) -> None:
        self._call("stop", container_id)
        if container_id in self.alive:
            self.alive[container_id].stopped = "exited"
            self.alive[container_id].stopped_code = 143

    async def remove(self, container_id: str) -> None:
        self._call("remove", container_id)
        self.alive.pop(container_id, None)

    async def rename(self, container_id: str, name: str) -> None:
        self._call("rename", name)
        self.alive[container_id].name = name

    async def wait(self, container_id: str, *, deadline_seconds: float) -> int:
        self._call("wait", container_id)
        deadline = self.clock.monotonic() + deadline_seconds
        while True:
            one = self.alive.get(container_id)
            if one is None:
                raise engine_refused("say how it ended", "the container is gone")
            state, _, code = self._state(one)
            if state in _ENDED or (state == "created" and one.life.start_error):
                return code
            if self.clock.monotonic() >= deadline:
                raise OutsideError(PROCESS_TIMED_OUT, f"not ended after {deadline_seconds:g} s")
            await self.clock.sleep(0.5)

    async def predict(self, app: App, services: Sequence[str]) -> Prediction:
        del app  # it agrees to every document
        self._call("predict", " ".join(services))
        return Prediction(volume_question=self.volume_question)

    async def up(self, app: App, services: Sequence[str]) -> None:
        self._call("up", " ".join(services))
        if self.ignores_up:
            return
        for service in services:
            self._bring_up(app, service)
        if self.before is not None:
            self.before("up-done", " ".join(services))

    async def run_job(self, app: App, service: str) -> str:
        self._call("run_job", service)
        definition = app.document["services"][service]
        self._refuse_missing_image(definition)
        made = self._make(
            f"{app.compose_project}-{service}-run-{self._count}",
            image=str(definition["image"]),
            found={**_compose_labels(app, service), ONE_OFF: "True"},
        )
        self._start(made)
        if self.before is not None:
            self.before("run_job-done", service)
        return made.id

    # How it works

    def _call(self, name: str, argument: str) -> None:
        self.calls.append((name, argument))
        if self.before is not None:
            self.before(name, argument)
        if not self.reachable:
            raise engine_unreachable("simulated", "connection refused")

    def _bring_up(self, app: App, service: str) -> None:
        """Recreate what differs, start what is stopped, add and take away replicas, as Compose does."""
        definition = app.document["services"][service]
        self._refuse_missing_image(definition)
        mark = _definition_mark(definition)
        mine = [
            one
            for one in self.alive.values()
            if one.labels.get(COMPOSE_PROJECT) == app.compose_project
            and one.labels.get(COMPOSE_SERVICE) == service
            and one.labels.get(ONE_OFF) != "True"
        ]
        same = [one for one in mine if one.labels.get(DEFINITION) == mark]
        wanted = replicas(definition)
        for gone in [one for one in mine if one not in same] + same[wanted:]:
            del self.alive[gone.id]
        for one in same[:wanted]:
            self._start(one)
        fixed = definition.get("container_name")
        for number in range(len(same), wanted):
            made = self._make(
                fixed or f"{app.compose_project}-{service}-{number + 1}",
                image=str(definition["image"]),
                found={**_compose_labels(app, service), DEFINITION: mark},
            )
            made.ports = _ports(app, service)
            self._start_or_fail(made, service)

    def _start_or_fail(self, made: Simulated, service: str) -> None:
        held = {
            (port.port, port.protocol)
            for other in self.alive.values()
            if other is not made and self._state(other)[0] == "running"
            for port in other.ports
        }
        if any((port.port, port.protocol) in held for port in made.ports):
            raise _compose_failed(
                service, "driver failed programming external connectivity: port is already allocated"
            )
        self._start(made)
        if made.life.start_error:
            raise _compose_failed(service, made.life.start_error)

    def _refuse_missing_image(self, definition: Mapping[str, Any]) -> None:
        image = str(definition["image"])
        if image not in self.images and image not in self.images.values():
            raise _compose_failed("", f"Error response from daemon: No such image: {image}")

    def _make(self, name: str, *, image: str, found: dict[str, str]) -> Simulated:
        self._count += 1
        made = Simulated(
            id=hashlib.sha256(str(self._count).encode()).hexdigest(),
            name=name,
            image=image,
            labels=found,
            life=self.lives.get(image, STEADY),
        )
        self.alive[made.id] = made
        return made

    def _start(self, one: Simulated) -> None:
        if one.life.start_error or self._state(one)[0] == "running":
            return
        one.started_at, one.stopped = self.clock.monotonic(), None

    def _state(self, one: Simulated) -> tuple[ContainerState, int, int]:
        """State, restart count and exit code now."""
        if one.stopped is not None:
            return one.stopped, 0, one.stopped_code
        if one.started_at is None:
            return "created", 0, 0
        life, age = one.life, self.clock.monotonic() - one.started_at
        if life.exits_after is None or age < life.exits_after:
            return "running", 0, 0
        if life.restarts:
            state: ContainerState = "running" if self.show_restarting_as_running else "restarting"
            return state, 1 + int(age - life.exits_after), life.exit_code
        return "exited", 0, life.exit_code

    def _shown(self, one: Simulated) -> Container:
        state = self._state(one)[0]
        return Container(
            id=one.id,
            name=one.name,
            image=one.image,
            image_id=self.images.get(one.image, one.image),
            state=state,
            health=self._health(one, state),
            labels=dict(one.labels),
            ports=one.ports if state == "running" else (),
        )

    def _health(self, one: Simulated, state: ContainerState) -> Health:
        life = one.life
        if not _has_check(life) or one.started_at is None or state != "running":
            return "none"
        age = self.clock.monotonic() - one.started_at
        if life.unhealthy_after is not None and age >= life.unhealthy_after:
            return "unhealthy"
        return "healthy" if life.healthy_after is not None and age >= life.healthy_after else "starting"


def _has_check(life: Life) -> bool:
    return life.healthy_after is not None or life.unhealthy_after is not None


def _ports(app: App, service: str) -> tuple[PublishedPort, ...]:
    wanted = wanted_ports(app.document, [service])
    return tuple(PublishedPort(address="0.0.0.0", port=p.first, protocol=p.protocol) for p in wanted)  # noqa: S104  # the engine's default


def _compose_labels(app: App, service: str) -> dict[str, str]:
    own: dict[str, str] = dict(app.document["services"][service].get("labels") or {})
    return {**own, COMPOSE_PROJECT: app.compose_project, COMPOSE_SERVICE: service}


def _definition_mark(definition: Mapping[str, Any]) -> str:
    """A hash over what Compose hashes."""
    hashed = {key: value for key, value in definition.items() if key not in {"depends_on", "scale"}}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()


def _compose_failed(service: str, words: str) -> OutsideError:
    return OutsideError(COMPOSE_FAILED, f"Compose could not bring up {service}", why=words)


def identity_labels(project: str, environment: str, service: str, **more: str) -> dict[str, str]:
    """Labels of a container of ours; `service_hash` and `log` by keyword."""
    return {
        labels.PROJECT: project,
        labels.ENVIRONMENT: environment,
        labels.SERVICE: service,
        labels.SERVICE_HASH: more.get("service_hash", "h1"),
        labels.LOG: more.get("log", "lineage-1"),
        COMPOSE_PROJECT: more.get("compose_project", f"{project}-{environment}"),
        COMPOSE_SERVICE: service,
    }


def another_machine() -> EngineIdentity:
    """An identity that no host was bound to."""
    return replace(IDENTITY, engine="engine-2")
