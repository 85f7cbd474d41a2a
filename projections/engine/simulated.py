"""A simulated engine: `Engine` and `EngineWatch` over a world of plain data, with scripted lives and faults.

It does what the real pair of engine and Compose does as far as anybody behind the port can tell, and passes
the same contract suite: names, labels, hashes, replicas, ports, jobs, exit codes that prove nothing. What it
answers goes as JSON bytes of the engine's API through the parsers of the real one, so a mistake in them
shows in every test that runs on it. How a container lives is told by its image:
`world.lives["web@bad"] = Life(exits_after=0.0, exit_code=3)`. Time is the clock's: a health check that takes
a minute takes none.

Faults come from three sides. The world may be unreachable, slow or deaf (`World`). `before` is called with
the name and argument of each call, and at the moments inside and after one that changes something
(`up-made`, `up-removed`, `up-named`, `up-done`, `run_job-made`, `run_job-done`); it may raise, kill its own
process, or play a person who changes something in the middle. And each call is one turn with the world, so
that with a `path` the world outlives this process and whoever is killed leaves it whole; who changes such a
world from outside does it in a turn of his own, `turn` or `simulated_world.opened`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from events.kernel.clock import Clock
from events.kernel.errors import OutsideError
from events.kernel.process import PROCESS_TIMED_OUT
from events.manifest import Probe
from projections.engine import probe_words
from projections.engine import simulated_answers as answers
from projections.engine import simulated_compose as compose
from projections.engine import simulated_probes as probes
from projections.engine import simulated_refusals as refusals
from projections.engine.api import Answer
from projections.engine.errors import engine_refused, engine_unreachable, shown
from projections.engine.makeup import ImageDefaults, Makeup, image_defaults, makeup_of
from projections.engine.model import container_from_inspection, container_from_listing, image_from_inspection
from projections.engine.port import (
    App,
    Container,
    ContainerDetail,
    EngineIdentity,
    Image,
    Prediction,
    ProbeAnswer,
)
from projections.engine.registry import image_unavailable, no_answer, pull_name
from projections.engine.simulated_stock import SimulatedStock
from projections.engine.simulated_watch import States, changes, states
from projections.engine.simulated_world import COMPOSE_PROJECT, ENDED, Life, SimulatedContainer, World, opened
from projections.engine.waiting import until
from projections.engine.watch_port import EngineEvent

_ANSWER_SECONDS = 30.0  # as the adapter for the real engine waits
_STOPPED_CODE = 143  # ended by SIGTERM
Before = Callable[[str, str], None]


class SimulatedEngine:
    """The engine; whoever plays the people around it acts on its `world`."""

    def __init__(self, *, clock: Clock, world: World | None = None, path: Path | None = None) -> None:
        """With `path` the world is the one in that file, now and at each call; else it is `world`."""
        self.before: Before | None = None
        self.calls: list[tuple[str, str]] = []
        self._clock = clock
        self._path = path
        self._world = world or World()

    @property
    def world(self) -> World:
        """What there is; of a world in a file the state after the last call, to be looked at only."""
        return self._world

    @contextlib.contextmanager
    def turn(self) -> Generator[World]:
        """The world, to change it."""
        if self._path is None:
            yield self._world
            return
        with opened(self._path) as world:
            self._world = world
            yield world

    @property
    def stock(self) -> SimulatedStock:
        """What it holds beside containers."""
        return SimulatedStock(self._called)

    def add(
        self,
        name: str,
        *,
        image: str = "web",
        found: Mapping[str, str] | None = None,
        life: Life | None = None,
        started: bool = True,
    ) -> str:
        """A person starts a container by hand, with the labels `found`; answers its id.

        With the labels of a Compose project it is on that project's network.
        """
        with self.turn() as world:
            made = world.make(name, image=image, labels=found or {}, created_at=self._clock.now().timestamp())
            project = made.labels.get(COMPOSE_PROJECT)
            made.networks = (f"{project}_default" if project else "bridge",)
            made.started_at = self._clock.monotonic() if started else None
            made.life = life or made.life
            return made.id

    def update(self, name: str, **changes: object) -> None:
        """A person changes limits of a container, as `docker update` does: `Memory=…`, `NanoCpus=…`."""
        with self.turn() as world:
            world.named(name).made["HostConfig"].update(changes)

    def count(self, call: str) -> int:
        """How often a call was made."""
        return sum(1 for name, _ in self.calls if name == call)

    async def identity(self) -> EngineIdentity:
        """Who answers."""
        async with self._called("identity") as world:
            return world.identity

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        """All containers of one Compose project, or of the whole engine, sorted by name."""
        async with self._called("containers", compose_project or "") as world:
            chosen = [
                one
                for one in world.containers.values()
                if compose_project is None or one.labels.get(COMPOSE_PROJECT) == compose_project
            ]
            answer = answers.listing(world, chosen, self._clock.monotonic())
        return sorted(map(container_from_listing, _parsed(answer)), key=lambda container: container.name)

    async def inspect(self, container_id: str) -> ContainerDetail | None:
        """One container, None when it is gone."""
        async with self._called("inspect", container_id) as world:
            return self._detail(world, container_id)

    async def image(self, ref: str) -> Image | None:
        """An image the engine has, by tag, digest or id; None when it has none."""
        async with self._called("image", ref) as world:
            return _image(world, ref)

    async def makeup(self, container_id: str) -> Makeup | None:
        """What a container was made with, field by field; None when it is gone."""
        async with self._called("makeup", container_id) as world:
            one = world.containers.get(container_id)
            if one is None:
                return None
            return makeup_of(answers.makeup(world, one, self._clock.monotonic()))

    async def image_defaults(self, ref: str) -> ImageDefaults | None:
        """What an image gives its containers; None when the engine has none of that name."""
        async with self._called("image_defaults", ref) as world:
            known = world.has_image(ref)
            if known is None:
                return None
            return image_defaults(json.loads(answers.image_inspection(world, known)))

    async def registry_digest(self, ref: str) -> str:
        """What the registry gives the tag now."""
        async with self._called("registry_digest", ref) as world:
            return _offered(world, ref)

    async def pull(self, ref: str) -> Image:
        """Fetch an image."""
        async with self._called("pull", ref) as world:
            found = _offered(world, ref)
            world.images[ref] = found
            repository, tag = pull_name(ref)
            digest = tag if tag.startswith("sha256:") else found
            digests = world.repo_digests.setdefault(found, [])
            if f"{repository}@{digest}" not in digests:
                digests.append(f"{repository}@{digest}")
            pulled = _image(world, ref)
        if pulled is None:
            raise engine_refused(f"keep the image {ref}", "it was pulled and is not there")
        return pulled

    async def tag(self, image_id: str, name: str) -> None:
        """Give an image a further name."""
        async with self._called("tag", name) as world:
            known = world.has_image(image_id)
            if known is None:
                raise engine_refused(f"tag {image_id} as {name}", f"No such image: {image_id}")
            world.images[name] = known

    async def logs(self, container_id: str, *, tail: int, since: float | None = None) -> tuple[str, ...]:
        """The last lines; empty when the container is gone."""
        async with self._called("logs", container_id) as world:
            one = world.containers.get(container_id)
            now = self._clock.monotonic()
            begin = None if since is None else now - (self._clock.now().timestamp() - since)
            lines = () if one is None or tail <= 0 else one.lines(now, since=begin)[-tail:]
        return tuple(shown(line) for line in lines)

    async def changes(self, container_id: str) -> tuple[str, ...]:
        """What a container changed in its file system: what its life says."""
        async with self._called("changes", container_id) as world:
            one = world.containers.get(container_id)
            return () if one is None else tuple(sorted(one.life.changes))

    async def probe(self, container_id: str, probe: Probe, *, deadline_seconds: float) -> ProbeAnswer:
        """Ask a container; one that hangs takes all of the time."""
        async with self._called("probe", container_id) as world:
            answer = probes.answer(world, container_id, probe, now=self._clock.monotonic())
        if answer is None:
            await self._clock.sleep(deadline_seconds)
            return probe_words.too_late(probe, deadline_seconds)
        return answer

    async def start(self, container_id: str) -> None:
        """Start a stopped container; nothing happens when it runs."""
        async with self._called("start", container_id) as world:
            one = _existing(world, container_id, f"start {container_id}")
            self._start(world, one)
            if one.life.start_error:
                raise engine_refused(f"start {container_id}", one.life.start_error)

    async def stop(self, container_id: str) -> None:
        """Stop; nothing happens when it is stopped or gone."""
        async with self._called("stop", container_id) as world:
            one = world.containers.get(container_id)
            if one is not None and world.moment(one, self._clock.monotonic()).state not in {
                *ENDED,
                "created",
            }:
                one.stopped, one.stopped_code = "exited", _STOPPED_CODE

    async def signal(self, container_id: str, name: str) -> bool:
        """Send a signal; False when the container does not run or is gone."""
        async with self._called("signal", container_id) as world:
            if name not in world.signals:
                raise engine_refused(f"send {name} to {container_id}", f"Invalid signal: {name}")
            one = world.containers.get(container_id)
            if one is None or world.moment(one, self._clock.monotonic()).state != "running":
                return False
            one.signals.append(name)
            if name in one.life.ends_on:
                one.stopped, one.stopped_code = "exited", one.life.exit_code
            return True

    async def remove(self, container_id: str) -> None:
        """Remove a container, also a running one."""
        async with self._called("remove", container_id) as world:
            world.containers.pop(container_id, None)

    async def rename(self, container_id: str, name: str) -> None:
        """Give a container another name."""
        async with self._called("rename", name) as world:
            what = f"rename {container_id} to {name}"
            one = _existing(world, container_id, what)
            holder = world.holder(name)
            if holder is not None and holder is not one:
                raise engine_refused(what, f'Conflict. The container name "/{name}" is already in use')
            one.name = name

    async def wait(self, container_id: str, *, deadline_seconds: float) -> int:
        """The exit code, as soon as the container has ended, or could not be started at all."""
        async with self._called("wait", container_id):
            pass

        async def ended() -> int | None:
            with self.turn() as world:
                detail = self._detail(world, container_id)
            if detail is None:
                raise engine_refused("say how it ended", "the container is gone")
            state = detail.container.state
            return detail.exit_code if state in ENDED or (state == "created" and detail.error) else None

        code = await until(ended, clock=self._clock, seconds=deadline_seconds)
        if code is None:
            raise OutsideError(PROCESS_TIMED_OUT, f"not ended after {deadline_seconds:g} s")
        return code

    async def predict(self, app: App, services: Sequence[str]) -> Prediction:
        """Compose's dry run of `up`."""
        refusals.refuse_bad(app, services)
        async with self._called("predict", " ".join(services)) as world:
            return compose.predict(world, app, services, now=self._clock.monotonic())

    async def grounds(self, app: App) -> tuple[str, ...]:
        """What a dry run goes by beside containers."""
        async with self._called("grounds", app.compose_project) as world:
            return compose.grounds(world, app)

    async def up(self, app: App, services: Sequence[str]) -> None:
        """Create, recreate and start `services` and nothing else."""
        refusals.refuse_bad(app, services)
        async with self._called("up", " ".join(services)) as world:
            if world.ignores_up:
                return
            refusals.refuse_missing_images(world, app, services)
            refusals.refuse_homeless(app, services)
            if world.volume_question:
                raise refusals.compose_failed("", world.volume_question)
            steps = compose.plan_up(world, app, services, now=self._clock.monotonic())
        for step in steps:
            self._take(app, step)
        self._moment("up-done", " ".join(services))

    async def up_beside(self, app: App, counts: Mapping[str, int]) -> None:
        """Bring each service to so many containers and replace none."""
        services = sorted(counts)
        refusals.refuse_bad(app, services)
        async with self._called(
            "up_beside", " ".join(f"{name}={counts[name]}" for name in services)
        ) as world:
            if world.ignores_up:
                return
            refusals.refuse_fixed_names(app, counts)
            refusals.refuse_missing_images(world, app, services)
            refusals.refuse_homeless(app, services)
            if world.volume_question:
                raise refusals.compose_failed("", world.volume_question)
            steps = compose.plan_beside(world, app, counts, now=self._clock.monotonic())
        for step in steps:
            self._take(app, step)
        self._moment("up_beside-done", " ".join(services))

    async def run_job(self, app: App, service: str) -> str:
        """Start a one-shot run of `service` in the background and answer the container's id."""
        refusals.refuse_bad(app, [service])
        async with self._called("run_job", service) as world:
            refusals.refuse_missing_images(world, app, [service])
            made = compose.make_job(world, app, service, created_at=self._clock.now().timestamp())
        self._moment("run_job-made", service)
        with self.turn() as world:
            self._start(world, _existing(world, made.id, "start it"))
        self._moment("run_job-done", service)
        return made.id

    def watch(self) -> AsyncGenerator[EngineEvent]:
        """What happens to containers with our labels; see `EngineWatch.watch`."""

        def look() -> States:
            with self.turn() as world:
                _refuse_unreachable(world)
                return states(world, self._clock.monotonic())

        return changes(look, clock=self._clock)

    @contextlib.asynccontextmanager
    async def _called(self, name: str, argument: str = "") -> AsyncGenerator[World]:
        """A turn for one call. Raises OutsideError `engine-unreachable`."""
        self.calls.append((name, argument))
        self._moment(name, argument)
        with self.turn() as world:
            seconds = world.answers_after
        if seconds:
            await self._clock.sleep(min(seconds, _ANSWER_SECONDS))
        if seconds > _ANSWER_SECONDS:
            raise engine_unreachable("simulated", f"no answer after {_ANSWER_SECONDS:g} s")
        with self.turn() as world:
            _refuse_unreachable(world)
            yield world

    def _moment(self, name: str, argument: str) -> None:
        if self.before is not None:
            self.before(name, argument)

    def _take(self, app: App, step: compose.UpStep) -> None:
        """One container's part of an `up`, each change a turn of its own."""
        name, container_id = step.name, step.container
        if step.kind == "remove":
            with self.turn() as world:
                world.containers.pop(container_id, None)
            return
        if step.kind in {"create", "recreate"}:
            made_as = name if step.kind == "create" else f"{container_id[:12]}_{name}"
            with self.turn() as world:
                now = self._clock.now().timestamp()
                made = compose.make_replica(
                    world, app, step.service, made_as, created_at=now, replaces=container_id
                )
            self._moment("up-made", made_as)
            if step.kind == "recreate":
                with self.turn() as world:
                    world.containers.pop(container_id, None)
                self._moment("up-removed", name)
                with self.turn() as world:
                    _existing(world, made.id, "rename it").name = name
                self._moment("up-named", name)
            container_id = made.id
        with self.turn() as world:
            one = world.containers.get(container_id)
            if one is None:
                raise refusals.compose_failed(step.service, f"No such container: {container_id}")
            if step.kind != "keep":
                refusals.refuse_taken_ports(world, one, step.service, now=self._clock.monotonic())
            self._start(world, one)
            if one.life.start_error:
                raise refusals.compose_failed(step.service, one.life.start_error)

    def _start(self, world: World, one: SimulatedContainer) -> None:
        running = world.moment(one, self._clock.monotonic()).state in {"running", "restarting"}
        if not running and not one.life.start_error:
            if one.started_at is not None:
                world.choose_again(one)
            one.started_at, one.stopped = self._clock.monotonic(), None

    def _detail(self, world: World, container_id: str) -> ContainerDetail | None:
        one = world.containers.get(container_id)
        if one is None:
            return None
        return container_from_inspection(json.loads(answers.inspection(world, one, self._clock.monotonic())))


def _parsed(answer: bytes) -> list[Answer]:
    listed: list[dict[str, Any]] = json.loads(answer)
    return list(listed)


def _existing(world: World, container_id: str, what: str) -> SimulatedContainer:
    if container_id not in world.containers:
        raise engine_refused(what, f"No such container: {container_id}")
    return world.containers[container_id]


def _image(world: World, ref: str) -> Image | None:
    known = world.has_image(ref)
    return (
        None if known is None else image_from_inspection(json.loads(answers.image_inspection(world, known)))
    )


def _offered(world: World, ref: str) -> str:
    """What a registry has under a name. Raises OutsideError `image-not-found`, `registry-unreachable`."""
    address = ref.partition("/")[0]
    if address in world.silent_registries:
        raise no_answer(ref, f"dial tcp {address}: connect: connection refused")
    if ref not in world.registry:
        raise image_unavailable(ref, "manifest unknown")
    return world.registry[ref]


def _refuse_unreachable(world: World) -> None:
    if not world.reachable:
        raise engine_unreachable("simulated", "connection refused")
