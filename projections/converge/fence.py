"""The fence of an environment on its host: operations of whoever was taken over are refused there.

    <root>/apps/<project>/<environment>/fence      {"format": 1, "lineage": "...", "token": 7}

The log refuses the appends of a process that lost its lock; the fence refuses what it would do to the
host, also when that process works on another machine, on a copy of the log. It stands with what it guards.
It is raised before the first operation that changes something and compared before each further one, by the
engine that convergers are given (`FencedEngine`), so that no operation can be forgotten: one that is not
listed there does not exist for a converger. Looking is free, and an idle pass leaves the file alone.

- A higher token of the same lineage: refused, `fenced-off`. The file is not touched.
- Another lineage: refused like any container that is not ours, as long as containers of that log exist
  for this environment; without any, the file is what a removed installation left, and it is replaced.
- No file, or one that is empty or not readable as a fence: written anew. It is written aside, flushed and
  renamed, so no crash of ours leaves such a file; refusing to work because a disk lost it would punish the
  wrong one, and the log's own check, which is made each time as well, still stands.

A token that is equal is our own: two processes on one log never draw the same.
"""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from events import labels
from events.kernel.errors import OutsideError, UserError, Where, error_code
from events.manifest import Probe
from events.tokens import Tenure, Token
from projections.converge.conflicts import CONTAINER_NOT_OURS, environment_path, owner_text
from projections.engine.makeup import ImageDefaults, Makeup
from projections.engine.port import (
    App,
    Container,
    ContainerDetail,
    Engine,
    EngineIdentity,
    Image,
    Prediction,
    ProbeAnswer,
)
from projections.engine.sweep import Owner
from projections.transport.port import HostFiles

FENCED_OFF = error_code(
    "fenced-off",
    "A newer holder of the same log has worked on this host; an older one does nothing more there.",
)
FENCE_UNUSABLE = error_code("fence-unusable", "The `fence` file of an environment cannot be read or written.")

FORMAT = 1
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a fence file says."""

    lineage: str
    token: int
    format: int = FORMAT

    def encode(self) -> bytes:
        """The file's content."""
        content = {"format": self.format, "lineage": self.lineage, "token": self.token}
        return json.dumps(content, sort_keys=True).encode() + b"\n"


def decode_mark(content: bytes) -> Mark | None:
    """What a fence file says, None when it is no fence (empty, cut off, something else)."""
    try:
        found: Any = json.loads(content)
        lineage, token, form = found["lineage"], found["token"], found["format"]
    except (ValueError, KeyError, TypeError):
        return None
    sound = isinstance(lineage, str) and lineage != ""
    sound = sound and all(type(one) is int and one > 0 for one in (token, form))
    return Mark(lineage=lineage, token=token, format=form) if sound else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """One environment's fence on one host, as the holder of a tenure meets it."""

    path: PurePath
    files: HostFiles
    host: str
    owner: Owner
    engine: Engine  # the bare one
    tenure: Tenure
    tell: Callable[[str], None]

    async def check(self) -> None:
        """Make sure that nobody newer has taken over, and raise the fence to our token.

        Raises LockLostError, OutsideError `fenced-off` or `fence-unusable`, UserError `container-not-ours`,
        `log-unavailable` and what `Engine.containers` raises. Nothing was done then.
        """
        token, found = await self._compared()
        if found is None:
            await self._write(token)
            return
        if found.lineage != self.owner.log:
            await self._refuse_owner(found)
            self.tell(f"the fence of the log {found.lineage}, which has no container here, is replaced")
        elif found.token == token.number:
            return
        await self._write(token)

    async def _compared(self) -> tuple[Token, Mark | None]:
        """Our token and what the file says, when neither refuses us."""
        token = await asyncio.to_thread(self.tenure.check)
        found = await self._read()
        if found is not None and found.format > FORMAT:
            raise self._unusable(f"it has format {found.format}, this Stagecraft knows {FORMAT}")
        if found is not None and found.lineage == self.owner.log and found.token > token.number:
            raise OutsideError(
                FENCED_OFF,
                "a newer holder of the same log has worked on this host, so nothing more is done there",
                where=self._where(),
                why=f"the fence says token {found.token}, the one of this process is {token.number}",
                next=f"find the other controller; if this log was restored from a copy, remove {self.path}",
            )
        return token, found

    async def _read(self) -> Mark | None:
        try:
            content = await self.files.read(self.path, most=_MOST_BYTES)
        except OSError as error:
            if error.errno != errno.EFBIG:  # that long, it is no fence
                raise self._unusable(str(error)) from error
            content = b""
        if content is None:
            return None
        found = decode_mark(content)
        if found is None:
            self.tell("the fence was damaged and is written anew")
        return found

    async def _write(self, token: Token) -> None:
        mark = Mark(lineage=self.owner.log, token=token.number)
        try:
            await self.files.write(self.path, mark.encode(), mode=0o644)
        except OSError as error:
            raise self._unusable(str(error)) from error

    async def _refuse_owner(self, found: Mark) -> None:
        """Raise UserError `container-not-ours` while the other log has containers of this environment."""
        for container in await self.engine.containers():
            told = container.labels
            theirs = (told.get(labels.LOG), told.get(labels.PROJECT), told.get(labels.ENVIRONMENT))
            if theirs == (found.lineage, self.owner.project, self.owner.environment):
                raise UserError(
                    CONTAINER_NOT_OURS,
                    f"the container {container.name} of another log stands in this environment",
                    where=self._where(),
                    why=owner_text(container),
                    next="use the home of that log, or remove its containers first",
                )

    def _where(self) -> Where:
        return Where(environment=environment_path(self.owner), host=self.host)

    def _unusable(self, why: str) -> OutsideError:
        return OutsideError(
            FENCE_UNUSABLE,
            f"the fence {self.path} cannot be used",
            where=self._where(),
            why=why,
            next=f"look at {self.path}: is it readable and writable, and has its disk room?",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FencedEngine:
    """An engine whose changing calls pass the fence first; looking passes freely."""

    engine: Engine
    fence: Fence

    async def identity(self) -> EngineIdentity:
        """Who answers."""
        return await self.engine.identity()

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        """All containers of one Compose project, or of the whole engine."""
        return await self.engine.containers(compose_project)

    async def inspect(self, container_id: str) -> ContainerDetail | None:
        """One container."""
        return await self.engine.inspect(container_id)

    async def image(self, ref: str) -> Image | None:
        """An image the engine has."""
        return await self.engine.image(ref)

    async def makeup(self, container_id: str) -> Makeup | None:
        """What a container was made with."""
        return await self.engine.makeup(container_id)

    async def image_defaults(self, ref: str) -> ImageDefaults | None:
        """What an image gives its containers."""
        return await self.engine.image_defaults(ref)

    async def registry_digest(self, ref: str) -> str:
        """The digest that the registry gives the tag now."""
        return await self.engine.registry_digest(ref)

    async def logs(self, container_id: str, *, tail: int, since: float | None = None) -> tuple[str, ...]:
        """The last lines of both streams."""
        return await self.engine.logs(container_id, tail=tail, since=since)

    async def changes(self, container_id: str) -> tuple[str, ...]:
        """What a container changed in its file system."""
        return await self.engine.changes(container_id)

    async def probe(self, container_id: str, probe: Probe, *, deadline_seconds: float) -> ProbeAnswer:
        """Ask a container whether it does what `probe` wants."""
        return await self.engine.probe(container_id, probe, deadline_seconds=deadline_seconds)

    async def wait(self, container_id: str, *, deadline_seconds: float) -> int:
        """The exit code, as soon as the container has ended."""
        return await self.engine.wait(container_id, deadline_seconds=deadline_seconds)

    async def predict(self, app: App, services: Sequence[str]) -> Prediction:
        """Compose's dry run of `up`."""
        return await self.engine.predict(app, services)

    async def grounds(self, app: App) -> tuple[str, ...]:
        """What a dry run goes by beside containers."""
        return await self.engine.grounds(app)

    async def pull(self, ref: str) -> Image:
        """Fetch an image."""
        await self.fence.check()
        return await self.engine.pull(ref)

    async def tag(self, image_id: str, name: str) -> None:
        """Give an image a further name."""
        await self.fence.check()
        await self.engine.tag(image_id, name)

    async def start(self, container_id: str) -> None:
        """Start a stopped container."""
        await self.fence.check()
        await self.engine.start(container_id)

    async def stop(self, container_id: str) -> None:
        """Stop with the container's own grace period."""
        await self.fence.check()
        await self.engine.stop(container_id)

    async def signal(self, container_id: str, name: str) -> bool:
        """Send a signal to a running container."""
        await self.fence.check()
        return await self.engine.signal(container_id, name)

    async def remove(self, container_id: str) -> None:
        """Remove a container and its anonymous volumes."""
        await self.fence.check()
        await self.engine.remove(container_id)

    async def rename(self, container_id: str, name: str) -> None:
        """Give a container another name."""
        await self.fence.check()
        await self.engine.rename(container_id, name)

    async def up(self, app: App, services: Sequence[str]) -> None:
        """Create, recreate and start `services`."""
        await self.fence.check()
        await self.engine.up(app, services)

    async def up_beside(self, app: App, counts: Mapping[str, int]) -> None:
        """Make further containers beside those that run."""
        await self.fence.check()
        await self.engine.up_beside(app, counts)

    async def run_job(self, app: App, service: str) -> str:
        """Start a one-shot run of `service`."""
        await self.fence.check()
        return await self.engine.run_job(app, service)
