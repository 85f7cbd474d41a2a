"""The port to one host's container engine.

Observation goes through the engine's own API and is cheap; acting on services goes through the Compose
client, because Compose owns the meaning of a Compose document. Every call has a deadline inside the
adapter. A call that cannot reach the engine raises OutsideError `engine-unreachable`; whoever catches it
must treat the host as unknown, never as empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from events import labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from events.manifest import Probe
    from projections.engine.makeup import ImageDefaults, Makeup

ContainerState = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]
Health = Literal["none", "starting", "healthy", "unhealthy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineIdentity:
    """Which engine answered."""

    machine: str  # machine id of the host it runs on
    engine: str  # the engine's own id
    engine_version: str
    api_version: str
    platform: str = ""  # `os/architecture` of what it runs; empty: it does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPort:
    """A port of the host that a container holds."""

    address: str  # "0.0.0.0", "::" or one address
    port: int
    protocol: str  # tcp, udp, sctp
    target: int = 0  # in the container; 0: the engine does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A container's end in a network: others see it at this address as long as it runs."""

    network: str  # the name
    address: str  # IPv4 or IPv6
    prefix: int  # length of the network's own part of the address, in bits
    gateway: str = ""  # who speaks for the host there, and for whoever comes through it; empty: nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container as a listing shows it."""

    id: str  # 64 hex digits
    name: str  # without the leading slash
    image: str  # the text it was made with
    image_id: str  # sha256:…
    state: ContainerState
    health: Health
    labels: Mapping[str, str]
    ports: tuple[PublishedPort, ...] = ()
    networks: tuple[str, ...] = ()  # names, sorted; none for one that Compose disconnected and left
    volumes: tuple[str, ...] = ()  # names of the volumes it mounts, sorted
    created: int = field(default=0, compare=False)  # seconds of the epoch; 0: a listing alone says it

    @property
    def service(self) -> str | None:
        """Our service name, None for a container that is not ours."""
        return self.labels.get(labels.SERVICE)

    @property
    def service_hash(self) -> str | None:
        """The hash of the definition it was made from."""
        return self.labels.get(labels.SERVICE_HASH)

    @property
    def one_off(self) -> bool:
        """Whether it is a run of a job and not a replica of a service."""
        return self.labels.get("com.docker.compose.oneoff", "").lower() == "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerDetail:
    """A container as an inspection shows it: what gates and failure reports need."""

    container: Container
    exit_code: int  # meaningful once it is not running
    restart_count: int
    restart_policy: str  # no, always, on-failure, unless-stopped
    oom_killed: bool
    error: str  # the engine's own words when it could not start
    health_check: bool  # a health check is declared and not disabled
    health_checked: bool  # a check has run since the container was started
    health_output: str  # output of the newest check
    health_failing_streak: int
    health_budget_seconds: (
        float  # start period and all retries together: when the engine itself would give up
    )
    pid: int = 0  # of its first process, as its host counts; 0: it does not run
    attachments: tuple[Attachment, ...] = ()  # sorted; none while it does not run


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """What came of one probe."""

    passed: bool
    said: str  # for people, one line: what was asked and what came back; printable, masked, bounded


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image the engine has."""

    id: str  # sha256:…
    repo_digests: tuple[str, ...]  # `repository@sha256:…`


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFile:
    """The host's file of variables that a document refers to."""

    path: str
    content: bytes | None = field(repr=False)  # None: it could not be used, and who needs it is not touched


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A Compose document ready for one engine: host paths filled in, labels complete."""

    compose_project: str
    document: Mapping[str, Any]
    host_file: HostFile | None = None  # None: nothing in the document is filled in


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What Compose says it would do, from its dry run."""

    recreated: tuple[str, ...] = ()  # container names
    created: tuple[str, ...] = ()
    running: tuple[str, ...] = ()  # left as they are
    started: tuple[str, ...] = ()  # exist as they should be, stopped
    removed: tuple[str, ...] = ()  # more replicas than asked for
    removed_networks: tuple[str, ...] = ()  # made anew: every container on them restarts
    volume_question: str = ""  # Compose asks to delete a volume's data
    messages: tuple[str, ...] = field(default=())  # whatever else it said


class Engine(Protocol):
    """One host's engine."""

    async def identity(self) -> EngineIdentity:
        """Who answers. Raises OutsideError `engine-unreachable`."""
        ...

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        """All containers of one Compose project, or of the whole engine, stopped ones too, sorted by name."""
        ...

    async def inspect(self, container_id: str) -> ContainerDetail | None:
        """One container, None when it is gone."""
        ...

    async def makeup(self, container_id: str) -> Makeup | None:
        """What a container was made with, field by field; None when it is gone."""
        ...

    async def image(self, ref: str) -> Image | None:
        """An image the engine has, by tag, digest or id; None when it has none."""
        ...

    async def image_defaults(self, ref: str) -> ImageDefaults | None:
        """What an image gives its containers; None when the engine has none of that name."""
        ...

    async def registry_digest(self, ref: str) -> str:
        """The digest, `sha256:…`, that the registry gives the tag now.

        Raises OutsideError `image-not-found` when the registry knows no such image and
        `registry-unreachable` when there is no answer.
        """
        ...

    async def pull(self, ref: str) -> Image:
        """Fetch an image. Raises OutsideError `image-not-found` or `registry-unreachable`."""
        ...

    async def tag(self, image_id: str, name: str) -> None:
        """Give an image a further `repository:tag` name."""
        ...

    async def logs(self, container_id: str, *, tail: int, since: float | None = None) -> tuple[str, ...]:
        """The last lines of both streams, printable; empty when the container is gone.

        With `since`, seconds of the epoch, only what was written from then on.
        """
        ...

    async def changes(self, container_id: str) -> tuple[str, ...]:
        """What a container changed in its file system: `A /path` added, `C` changed, `D` deleted; sorted.

        Nothing of what is mounted into it; empty when the container is gone.
        """
        ...

    async def probe(self, container_id: str, probe: Probe, *, deadline_seconds: float) -> ProbeAnswer:
        """Ask a container whether it does what `probe` wants; whatever hinders it is an answer.

        Raises UserError `probe-impossible` when no container of this engine can be reached from here, and
        OutsideError `engine-unreachable`.
        """
        ...

    async def start(self, container_id: str) -> None:
        """Start a stopped container; nothing happens when it runs."""
        ...

    async def stop(self, container_id: str) -> None:
        """Stop with the container's own grace period; nothing happens when it is stopped or gone."""
        ...

    async def signal(self, container_id: str, name: str) -> bool:
        """Send a signal, such as `SIGHUP`, to the first process; whether there was one to send it to.

        Nothing happens to a container that does not run, or is gone. What the process makes of the signal
        is to be looked at. Raises OutsideError `engine-refused` for a name that the engine does not take.
        """
        ...

    async def remove(self, container_id: str) -> None:
        """Remove a container, also a running one, and its anonymous volumes; never a named volume."""
        ...

    async def rename(self, container_id: str, name: str) -> None:
        """Give a container another name."""
        ...

    async def wait(self, container_id: str, *, deadline_seconds: float) -> int:
        """The exit code, as soon as the container has ended. Raises OutsideError `process-timed-out`."""
        ...

    async def predict(self, app: App, services: Sequence[str]) -> Prediction:
        """Compose's dry run of `up` for `services`. Raises UserError `compose-refused` for a bad document."""
        ...

    async def grounds(self, app: App) -> tuple[str, ...]:
        """What a dry run of `app` goes by beside containers: version, networks and volumes, to be compared.

        Two engines that answer the same, and have the same containers of the project, foretell the same.
        """
        ...

    async def up(self, app: App, services: Sequence[str]) -> None:
        """Create, recreate and start `services` and nothing else; does not wait for health.

        Raises OutsideError `compose-failed` with Compose's own words. A return without an error proves
        nothing: look at the containers.
        """
        ...

    async def up_beside(self, app: App, counts: Mapping[str, int]) -> None:
        """Bring each service to so many containers: further ones are made by the document.

        None of those there is replaced; one that has ended is started again as it is. `counts` are never
        below what is there: Compose would take the newest away. Raises and proves as `up` does.
        """
        ...

    async def run_job(self, app: App, service: str) -> str:
        """Start a one-shot run of `service` in the background and answer the container's id."""
        ...
