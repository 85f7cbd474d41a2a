"""The Manifest: an immutable record of all that will run, named by its digest.

It is complete: running a recorded Manifest needs neither Git nor a tag nor a build. It holds nothing that
does not reach a host: no revision, no time, no version of the renderer. So two commits that would run
the same have the same Manifest, and a `git revert` leads back to a digest that is known.

Paths on a host are not known when a Manifest is made. What the app mounts from the commit stands under
`FILES_PREFIX` by content, what it keeps on the host under `STATE_PREFIX` by its path in the project; the
converger puts the host's own root in their place. A service that is told of changed files by a signal mounts
them from `RELOAD_PREFIX` by service and place, so that its definition stays the same when only they change.
Nor are the values of variables that only a host knows: `${NAME}` is left in the document, and the host's file
named beside it.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, field_validator, model_serializer

from events.kernel.canonical import canonical_json, digest_of, sha256_digest
from events.rollout import Strategy
from events.routes import Routing

FILES_PREFIX = "/.stagecraft/files/"
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")  # of an image's name, as engines take it
STATE_PREFIX = "/.stagecraft/state/"
KEPT_IMAGES = "stagecraft.local/"
"""How our own names of images begin."""
RELOAD_PREFIX = "/.stagecraft/reload/"
ROUTES_PLACE = "/.stagecraft/traefik/dynamic"
"""The folder of route files, which the controller writes and the gateway of that host watches."""

WaitCondition = Literal["service_started", "service_healthy", "service_completed_successfully"]


class Record(BaseModel):
    """A frozen part of a Manifest; an unknown key is an error, because the digest would not cover it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ImagePin(Record):
    """An image reference as written and what it meant when the Manifest was made."""

    ref: str  # as rendered: `web:1.4`
    pin: str  # `sha256:` and 64 hex digits
    pin_kind: Literal["repo-digest", "image-id"]

    @property
    def pinned_text(self) -> str:
        """The reference that means these very bytes: `web:1.4@sha256:…`, or the image id alone."""
        if self.pin_kind == "image-id":
            return self.pin
        return f"{self.ref.partition('@')[0]}@{self.pin}"


def kept_image_name(pin: ImagePin, *, project: str, service: str) -> str:
    """Our own tag for a pinned image; its host part belongs to nobody, so no registry is ever asked."""
    folders = f"{_as_component(project)}/{_as_component(service)}"
    return f"{KEPT_IMAGES}{folders}:{pin.pin.removeprefix('sha256:')[:16]}"


def _as_component(name: str) -> str:
    """`name` where an image's name can have it, else the nearest; two that become one name the same image."""
    if _COMPONENT.fullmatch(name):
        return name
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "service"


class Job(Record):
    """A one-shot service: it runs to its end before the services that wait for it are touched."""

    on_rollback: bool = False  # run again on rollback and revert although this hash has succeeded


class HttpProbe(Record):
    """A GET that a container has to answer with one of some statuses; redirects are not followed."""

    port: int  # in the container
    path: str
    first_status: int
    last_status: int  # inclusive
    host: str | None = None  # the name it asks for; None: `localhost`


class TcpProbe(Record):
    """A port on which somebody has to listen."""

    port: int  # in the container


class CommandProbe(Record):
    """A program that is run in the container, without a shell, and has to end with exit code 0."""

    command: tuple[str, ...]


Probe = HttpProbe | TcpProbe | CommandProbe


class Probes(Record):
    """What a container is asked before its service counts as up; at least one, and all have to pass."""

    http: HttpProbe | None = None
    tcp: TcpProbe | None = None
    command: CommandProbe | None = None
    timeout_seconds: float  # of one question

    @property
    def each(self) -> tuple[Probe, ...]:
        """Those that there are, the cheapest first."""
        return tuple(one for one in (self.tcp, self.http, self.command) if one is not None)


class Watch(Record):
    """How long a container is still judged after it counted as up."""

    seconds: float
    silent_of: tuple[str, ...] = ()  # texts that no line of its log may have meanwhile


class Gate(Record):
    """When a service counts as up."""

    settle_seconds: float  # without a health check and probes: how long it must stay up
    deadline_seconds: float  # the longest wait until it counts as up
    probes: Probes | None = None  # None: its health check or the settle time decide; then it is left out
    watch: Watch | None = None  # None: it is not judged any further; then it is left out

    @model_serializer(mode="wrap")
    def _as_ever(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not said: Manifests from before it could be keep their digests."""
        found: dict[str, Any] = handler(self)
        return {key: value for key, value in found.items() if value is not None}


class FileEntry(Record):
    """One file of a collected tree."""

    path: str  # relative, `/`, no `.` or `..`
    executable: bool
    blob: str  # digest of the bytes


class FileTree(Record):
    """Files of the commit that a service mounts; on the host they stand in a folder named by the digest."""

    entries: tuple[FileEntry, ...]  # sorted by path

    @field_validator("entries")
    @classmethod
    def _checked(cls, entries: tuple[FileEntry, ...]) -> tuple[FileEntry, ...]:
        """In the order of their paths; refused when one leads out of the tree or stands there twice."""
        paths = [entry.path for entry in entries]
        for path in paths:
            if {"", ".", ".."} & set(path.split("/")) or "\0" in path:
                raise ValueError(f"not a relative path within a tree: {path!r}")
        if len(set(paths)) < len(paths):
            raise ValueError("a path stands twice in a tree")
        return tuple(sorted(entries, key=lambda entry: entry.path))

    @property
    def digest(self) -> str:
        """The tree's name."""
        return sha256_digest(canonical_json(self.model_dump(mode="json")))


class LiveMount(Record):
    """Files of the commit whose content changes in place while a container has them mounted."""

    place: str  # below `RELOAD_PREFIX`: `<folder of the service>/<slot>`, the same whatever it holds
    target: str  # where the container has them
    file: str | None  # the name of the one file that is mounted; None: the whole folder
    tree: str  # digest of what is there


class Reload(Record):
    """How a service is told that files it mounts from the commit have changed, instead of being replaced."""

    signal: str  # `SIGHUP`
    mounts: tuple[LiveMount, ...]  # at least one, sorted by place

    @property
    def content(self) -> str:
        """The digest of all that is mounted."""
        return digest_of({mount.place: mount.tree for mount in self.mounts})


class Service(Record):
    """What a converger must know of a service beside its Compose definition."""

    hash: str  # over the definition that runs; see `gitops.manifest`
    role: str
    image: ImagePin
    job: Job | None = None
    waits_for: dict[str, WaitCondition] = {}  # services on the same host, by `depends_on`
    gate: Gate
    reload: Reload | None = None  # None: a changed file is a changed definition; then it is left out
    rollout: Strategy | None = None  # the project's word; None: what the definition allows, and left out

    @model_serializer(mode="wrap")
    def _as_ever(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not there: Manifests from before it was known keep their digests."""
        found: dict[str, Any] = handler(self)
        for name in ("reload", "rollout"):
            if found[name] is None:
                del found[name]
        return found

    @property
    def version(self) -> str:
        """The hash, and with it the content that the hash leaves out."""
        return self.hash if self.reload is None else digest_of([self.hash, self.reload.content])

    def by_content(self, source: str) -> str:
        """A bind source of its definition as it would be named by content."""
        if self.reload is None or not source.startswith(RELOAD_PREFIX):
            return source
        trees = {mount.place: mount.tree for mount in self.reload.mounts}
        folder, slot, *below = source.removeprefix(RELOAD_PREFIX).split("/", 2)
        named = f"{FILES_PREFIX}{trees[f'{folder}/{slot}'].removeprefix('sha256:')}"
        return "/".join([named, *below])


class HostManifest(Record):
    """What one host runs."""

    compose: dict[str, Any]  # a Compose document as JSON: pinned, without `build`, labelled
    services: dict[str, Service]
    files: dict[str, FileTree] = {}  # by digest
    env_file: str | None = None  # of the host; has the variables that `compose` refers to

    @model_serializer(mode="wrap")
    def _without_no_file(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the key when there is no such file, so that a record from before it keeps its digest."""
        found: dict[str, Any] = handler(self)
        return found if self.env_file is not None else {k: v for k, v in found.items() if k != "env_file"}


class Manifest(Record):
    """All that will run in one environment."""

    format: Literal[1] = 1
    project: str
    environment: str
    compose_project: str  # the engine's name for the app; volumes hang on it
    hosts: dict[str, HostManifest]
    secrets: tuple[str, ...] = ()  # names only, sorted
    routing: Routing | None = None  # None: no gateway of ours passes requests on; then it is left out

    @model_serializer(mode="wrap")
    def _as_ever(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not there: Manifests from before it was known keep their digests."""
        found: dict[str, Any] = handler(self)
        return found if self.routing is not None else {k: v for k, v in found.items() if k != "routing"}

    def encode(self) -> bytes:
        """The canonical bytes, which the digest is taken over."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """The Manifest's name."""
        return sha256_digest(self.encode())

    def service_hashes(self) -> dict[str, dict[str, str]]:
        """`{host: {service: version}}`: what decisions and comparisons need of a Manifest."""
        return {
            host: {name: service.version for name, service in content.services.items()}
            for host, content in self.hosts.items()
        }

    def images(self) -> dict[str, ImagePin]:
        """`{service: pin}`; a service that runs on several hosts has one pin."""
        return {
            name: service.image
            for content in self.hosts.values()
            for name, service in content.services.items()
        }

    @classmethod
    def decode(cls, content: bytes) -> Manifest:
        """The inverse of `encode`. Raises pydantic.ValidationError."""
        return cls.model_validate_json(content)
