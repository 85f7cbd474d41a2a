"""All that a simulated engine has and knows: images, what registries offer, containers and how they live.

A `World` is plain data. It goes to JSON bytes and back, so it outlives the process that acts on it: a test
that kills a process with its engine's client leaves the engine as it was, as in life. Kept in a file
(`opened`), it is whole at any moment, because each turn replaces the file at once; and turns are taken one
after the other, so several processes and a person with a second hand on it see one world.

What a container is doing is not stored but follows from when it was started and from its `Life`. Times are
seconds of the clock's monotonic time, which on one machine all processes share and which no step of the wall
clock touches. Dropped: a thread that plays the containers, because then a test would wait in real time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from projections.engine.errors import engine_unreachable
from projections.engine.port import ContainerState, EngineIdentity, Health, PublishedPort

COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
ONE_OFF = "com.docker.compose.oneoff"
IDENTITY = EngineIdentity(
    machine="machine-1", engine="engine-1", engine_version="20.10.24", api_version="1.41"
)
ENDED: tuple[ContainerState, ...] = ("exited", "dead")
_TURN_SECONDS = 10.0  # a turn takes less than a millisecond: whoever has it longer was stopped in the middle
_TURN_PAUSE_SECONDS = 0.002
_FIRST_PORT_OF_ITS_CHOICE = 32767


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What becomes of a container after its start; times in seconds after it, None: never."""

    exits_after: float | None = None
    exit_code: int = 0
    restarts: bool = False  # the engine starts it again each time it ends, whatever its definition says
    oom_killed: bool = False
    healthy_after: float | None = None  # with either of these two it has a health check
    unhealthy_after: float | None = None
    check_runs: bool = True  # False: the engine never gets to it
    health_output: str = ""
    health_budget_seconds: float = 3.0  # until the check's own retries are used up
    start_error: str = ""  # the engine's words; it stays `created`
    log: tuple[str, ...] = ()
    says_after: tuple[tuple[float, str], ...] = ()  # lines that it prints later
    listens_after: Mapping[int, float] = field(default_factory=dict[int, float])  # by port; no other is open
    deaf_after: float | None = None  # from then on nothing answers any more, and it runs on
    pages: Mapping[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    """Status and body by path, of whatever port listens; 404 for another."""
    programs: Mapping[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    """Exit code and output by command line; one that is not there cannot be run."""
    hangs: tuple[str, ...] = ()  # paths and command lines without an answer
    changes: tuple[str, ...] = ()  # in its file system, as `A /path`
    says_on: Mapping[str, str] = field(default_factory=dict[str, str])  # a line for each signal of that name
    ends_on: tuple[str, ...] = ()  # signals that end it, with `exit_code`

    @property
    def has_check(self) -> bool:
        """Whether it has a health check."""
        return self.healthy_after is not None or self.unhealthy_after is not None


STEADY = Life()
ENDS_WELL = Life(exits_after=0.0)


@dataclass(slots=True, kw_only=True)
class SimulatedContainer:
    """A container in the engine's memory."""

    id: str
    name: str
    image: str  # the text it was made with
    image_id: str
    labels: dict[str, str]
    life: Life
    restart_policy: str = ""  # empty: what its life says
    ports: tuple[PublishedPort, ...] = ()
    chosen: tuple[int, ...] = ()  # of them those whose number is the engine's choice: another at each start
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    created_at: float = 0.0  # seconds of the epoch
    started_at: float | None = None  # monotonic seconds; None: created only
    stopped: ContainerState | None = None  # set by stop, pause and the like
    stopped_code: int = 0
    signals: list[str] = field(default_factory=list[str])  # all it was ever sent
    made: dict[str, Any] = field(default_factory=dict[str, Any])  # see `simulated_made.py`

    def lines(self, now: float, *, since: float | None = None) -> tuple[str, ...]:
        """What it has printed until `now`; with `since` from then on, and whatever it said on a signal."""
        start = now if self.started_at is None else self.started_at
        later = [(start + after, line) for after, line in self.life.says_after]
        timed = [*((start, line) for line in self.life.log), *((at, line) for at, line in later if at <= now)]
        said = (self.life.says_on.get(name) for name in self.signals)
        chosen = (line for at, line in timed if since is None or at >= since)
        return (*chosen, *(line for line in said if line is not None))

    @property
    def one_off(self) -> bool:
        """Whether it is a run of a job."""
        return self.labels.get(ONE_OFF, "").lower() == "true"

    @property
    def policy(self) -> str:
        """When the engine starts it again: no, always, on-failure, unless-stopped."""
        return self.restart_policy or ("always" if self.life.restarts else "no")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a container is doing at one time."""

    state: ContainerState
    health: Health = "none"  # the last that was said of it, also of one that ended
    restarts: int = 0
    exit_code: int = 0
    seconds: float = 0.0  # since it was started


@dataclass(slots=True, kw_only=True)
class World:
    """One simulated engine and the registries it can reach."""

    images: dict[str, str] = field(default_factory=dict[str, str])  # text -> id
    repo_digests: dict[str, list[str]] = field(default_factory=dict[str, list[str]])  # by image id
    registry: dict[str, str] = field(default_factory=dict[str, str])  # what a pull would find
    silent_registries: list[str] = field(default_factory=list[str])  # `host:port` where nobody listens
    # By image text, or by image text and command (`web:1 cat`) where one image does several things.
    lives: dict[str, Life] = field(default_factory=dict[str, Life])
    containers: dict[str, SimulatedContainer] = field(default_factory=dict[str, SimulatedContainer])
    identity: EngineIdentity = IDENTITY
    signals: tuple[str, ...] = ("SIGHUP", "SIGTERM", "SIGUSR1", "SIGUSR2")  # names that it takes
    reachable: bool = True
    answers_after: float = 0.0  # seconds that each call takes; past the deadline it is as unreachable
    volume_question: str = ""  # Compose asks to delete a volume's data
    ignores_up: bool = False  # Compose says yes and does nothing
    show_restarting_as_running: bool = False  # a look that falls between two ends of a crash loop
    made: int = 0  # containers so far
    chosen_ports: int = 0  # numbers of ports given away so far
    networks: dict[str, str] = field(default_factory=dict[str, str])  # Compose project by name
    volumes: dict[str, str] = field(default_factory=dict[str, str])  # likewise

    @staticmethod
    def from_json(data: bytes) -> World:
        """The world that `to_json` wrote. Raises pydantic's ValidationError for anything else."""
        return _WORLD.validate_json(data)

    def to_json(self) -> bytes:
        """All of it."""
        return _WORLD.dump_json(self)

    def named(self, name: str) -> SimulatedContainer:
        """The container of that name. Raises KeyError when there is none."""
        found = self.holder(name)
        if found is None:
            raise KeyError(name)
        return found

    def holder(self, name: str) -> SimulatedContainer | None:
        """Who has that name."""
        return next((one for one in self.containers.values() if one.name == name), None)

    def replicas(self, service: str, *, compose_project: str | None = None) -> list[SimulatedContainer]:
        """The containers of a service, jobs aside, by name; those of all Compose projects without one."""
        found = [
            one
            for one in self.containers.values()
            if one.labels.get(COMPOSE_SERVICE) == service
            and not one.one_off
            and compose_project in {None, one.labels.get(COMPOSE_PROJECT)}
        ]
        return sorted(found, key=lambda one: one.name)

    def ids(self, service: str) -> list[str]:
        """Ids of a service's containers, jobs aside, by name."""
        return [one.id for one in self.replicas(service)]

    def has_image(self, text: str) -> str | None:
        """The id of the image that has this tag, digest or id."""
        if text in self.images:
            return self.images[text]
        by_digest = (made for made, digests in self.repo_digests.items() if text in digests)
        return text if text in self.images.values() else next(by_digest, None)

    def make(
        self, name: str, *, image: str, labels: Mapping[str, str], created_at: float, command: str = ""
    ) -> SimulatedContainer:
        """A further container in the state `created`."""
        self.made += 1
        life = self.lives.get(f"{image} {command}") or self.lives.get(image, STEADY)
        made = SimulatedContainer(
            id=hashlib.sha256(str(self.made).encode()).hexdigest(),
            name=name,
            image=image,
            image_id=self.has_image(image) or image,
            labels=dict(labels),
            life=life,
            created_at=created_at,
        )
        self.containers[made.id] = made
        return made

    def choose_port(self) -> int:
        """A number that no container was given before."""
        self.chosen_ports += 1
        return _FIRST_PORT_OF_ITS_CHOICE + self.chosen_ports

    def choose_again(self, one: SimulatedContainer) -> None:
        """Give a container that is started again other ports in place of those it did not ask for."""
        numbers = {number: self.choose_port() for number in one.chosen}
        one.ports = tuple(replace(port, port=numbers.get(port.port, port.port)) for port in one.ports)
        one.chosen = tuple(numbers.values())

    def moment(self, one: SimulatedContainer, now: float) -> Moment:
        """What a container does at the monotonic time `now`."""
        life, seconds = one.life, 0.0 if one.started_at is None else now - one.started_at
        if one.stopped is not None:
            health = _health(life, seconds)
            return Moment(state=one.stopped, health=health, exit_code=one.stopped_code, seconds=seconds)
        if one.started_at is None:
            return Moment(state="created", exit_code=127 if life.start_error else 0)
        if life.exits_after is None or seconds < life.exits_after:
            return Moment(state="running", health=_health(life, seconds), seconds=seconds)
        if one.policy in {"always", "unless-stopped"} or (one.policy == "on-failure" and life.exit_code):
            return Moment(
                state="running" if self.show_restarting_as_running else "restarting",
                health=_health(life, seconds if self.show_restarting_as_running else life.exits_after),
                restarts=1 + int(seconds - life.exits_after),
                exit_code=life.exit_code,
                seconds=seconds,
            )
        health = _health(life, life.exits_after)
        return Moment(state="exited", health=health, exit_code=life.exit_code, seconds=seconds)


_WORLD = TypeAdapter(World)


def _health(life: Life, seconds: float) -> Health:
    if not life.has_check:
        return "none"
    if not life.check_runs:
        return "starting"
    if life.unhealthy_after is not None and seconds >= life.unhealthy_after:
        return "unhealthy"
    return "healthy" if life.healthy_after is not None and seconds >= life.healthy_after else "starting"


@contextlib.contextmanager
def opened(path: Path) -> Generator[World]:
    """One turn with the world of a file, an empty one when there is none; what changed is on disk after it.

    It survives the kill of any process, not a power cut: nothing is flushed. Raises OutsideError
    `engine-unreachable` when somebody else does not end his turn.
    """
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take_turn(lock)
        before = path.read_bytes() if path.exists() else b""
        world = World.from_json(before) if before else World()
        try:
            yield world
        finally:
            after = world.to_json()
            if after != before:
                aside = path.with_name(f"{path.name}.new")
                aside.write_bytes(after)
                aside.replace(path)
    finally:
        os.close(lock)


def _take_turn(lock: int) -> None:
    for _ in range(int(_TURN_SECONDS / _TURN_PAUSE_SECONDS)):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TURN_PAUSE_SECONDS)
        else:
            return
    raise engine_unreachable("simulated", f"its world was in use for {_TURN_SECONDS:g} s")
