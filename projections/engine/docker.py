"""One Docker engine, through its own API and, for what Compose decides, through the Compose client.

How it is spoken with, and what counts as which error, is the connection's; its images are `images`. Waiting
for a container is asking again, not a request that hangs, so it can be cancelled.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import cast

from events.kernel.clock import Clock
from events.kernel.errors import OutsideError
from events.kernel.process import PROCESS_TIMED_OUT
from events.manifest import Probe
from projections.engine.api import DockerApi
from projections.engine.compose import ComposeClient
from projections.engine.docker_connection import Deadlines, DockerConnection, words_of
from projections.engine.docker_images import DockerImages
from projections.engine.docker_probes import DockerProbes
from projections.engine.docker_programs import DockerProgram, DockerPrograms
from projections.engine.door import EngineDoor
from projections.engine.errors import COMPOSE_FAILED, engine_refused, shown
from projections.engine.events import follow
from projections.engine.following import ByteStream, LogApi, LogLine, lines_of
from projections.engine.grounds import grounds_of
from projections.engine.makeup import ImageDefaults, Makeup, makeup_of
from projections.engine.model import (
    container_from_inspection,
    container_from_listing,
    platform_of,
    stop_grace_seconds,
)
from projections.engine.port import (
    App,
    Container,
    ContainerDetail,
    EngineIdentity,
    Image,
    Prediction,
    ProbeAnswer,
)
from projections.engine.programs import WindowSize
from projections.engine.stock import COMPOSE_PROJECT_LABEL, EngineStock
from projections.engine.waiting import until
from projections.engine.watch_port import EngineEvent

_ENDED = frozenset({"exited", "dead"})
_CHANGES_SECONDS = 5.0
_CHANGES = {0: "C", 1: "A", 2: "D"}  # the engine's numbers for what became of a path


class DockerEngine:
    """The engine at an address, `Engine` by its methods."""

    def __init__(
        self,
        base_url: str | None,
        run_folder: Path,
        *,
        clock: Clock | None = None,
        deadlines: Deadlines | None = None,
        door: EngineDoor | None = None,
    ) -> None:
        """No connection is made yet.

        Without `base_url` it is where DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say, else the local
        socket. With a `door` it is on another machine, `base_url` says nothing, and every call raises
        OutsideError with a code in `HOST_SILENT` too, when that machine cannot be asked. `run_folder` takes
        the Compose client's private, empty home.
        """
        self._connection = DockerConnection(base_url, clock=clock, deadlines=deadlines, door=door)
        self.images = DockerImages(self._connection)
        self._probes = DockerProbes(self._connection)
        self._programs = DockerPrograms(self._connection)
        self._compose = ComposeClient(
            engine=self._connection.address.variables,
            run_folder=run_folder,
            up_seconds=self._connection.deadlines.up_seconds,
        )

    @property
    def local(self) -> bool:
        """Whether it runs on this machine: then its ports are this machine's."""
        return self._connection.address.local

    @property
    def stock(self) -> EngineStock:
        """What it holds beside containers."""
        return EngineStock(self._connection.find)

    def close(self) -> None:
        """Give back connections and threads. A call that is still under way ends with its own deadline."""
        self._connection.close()

    async def identity(self) -> EngineIdentity:
        """Who answers. Raises OutsideError `engine-unreachable`."""
        version, info = await self._connection.call("say who it is", lambda api: (api.version(), api.info()))
        return EngineIdentity(
            machine=await self._connection.machine(name=str(info.get("Name") or "")),
            engine=str(info.get("ID") or ""),
            engine_version=str(version.get("Version") or ""),
            api_version=str(version.get("ApiVersion") or ""),
            platform=platform_of(version),
        )

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        """All containers of one Compose project, or of the whole engine, stopped ones too, sorted by name."""
        filters = (
            {"label": f"{COMPOSE_PROJECT_LABEL}={compose_project}"} if compose_project is not None else {}
        )
        answers = await self._connection.call(
            "list its containers",
            lambda api: api.containers(all=True, filters=filters),
        )
        return sorted(map(container_from_listing, answers), key=lambda container: container.name)

    async def inspect(self, container_id: str) -> ContainerDetail | None:
        """One container, None when it is gone.

        Raises OutsideError `engine-unreachable` once when the engine was restarted since it last answered:
        what became of the container then is the engine's doing, not its own.
        """
        await self._connection.refuse_restarted()
        answer = await self._connection.find(
            f"show container {container_id}", lambda api: api.inspect_container(container_id)
        )
        return container_from_inspection(answer) if answer is not None else None

    async def image(self, ref: str) -> Image | None:
        """An image the engine has, by tag, digest or id; None when it has none."""
        return await self.images.image(ref)

    async def image_defaults(self, ref: str) -> ImageDefaults | None:
        """What an image gives its containers; None when the engine has none of that name."""
        return await self.images.image_defaults(ref)

    async def registry_digest(self, ref: str) -> str:
        """The digest that the registry gives the tag now; see `DockerImages.registry_digest`."""
        return await self.images.registry_digest(ref)

    async def pull(self, ref: str) -> Image:
        """Fetch an image. Raises OutsideError `image-not-found` or `registry-unreachable`."""
        return await self.images.pull(ref)

    async def tag(self, image_id: str, name: str) -> None:
        """Give an image a further `repository:tag` name."""
        await self.images.tag(image_id, name)

    async def makeup(self, container_id: str) -> Makeup | None:
        """What a container was made with, field by field; None when it is gone."""
        answer = await self._connection.find(
            f"show container {container_id}", lambda api: api.inspect_container(container_id)
        )
        return makeup_of(answer) if answer is not None else None

    async def probe(self, container_id: str, probe: Probe, *, deadline_seconds: float) -> ProbeAnswer:
        """Ask a container whether it does what `probe` wants; see `DockerProbes`."""
        return await self._probes.probe(container_id, probe, deadline_seconds=deadline_seconds)

    async def logs(self, container_id: str, *, tail: int, since: float | None = None) -> tuple[str, ...]:
        """The last lines of both streams, printable, credentials masked, at most 500 characters each.

        Empty when the container is gone; the engine's own words when its log driver keeps nothing to read.
        """

        def read(api: DockerApi) -> bytes:
            from docker.errors import APIError

            try:
                return api.logs(container_id, stdout=True, stderr=True, tail=tail, since=since)
            except APIError as error:
                if "does not support reading" in words_of(error):
                    return words_of(error).encode()
                raise

        printed = await self._connection.find(f"read the log of {container_id}", read) or b""
        lines = printed.decode(errors="replace").rstrip("\n").split("\n")
        return tuple(shown(line) for line in lines[-tail:]) if printed and tail > 0 else ()

    async def changes(self, container_id: str) -> tuple[str, ...]:
        """What a container changed in its file system, sorted; empty when it is gone.

        The engine goes through everything that it wrote, and is given `_CHANGES_SECONDS` for it.
        """
        found = await self._connection.find(
            f"show what {container_id} changed",
            lambda api: api.diff(container_id),
            seconds=_CHANGES_SECONDS,
        )
        return tuple(
            sorted(f"{_CHANGES.get(int(one.get('Kind', -1)), '?')} {one.get('Path')}" for one in found or ())
        )

    async def follow_logs(
        self,
        container_id: str,
        *,
        tail: int | None = None,
        since: float | None = None,
        until: float | None = None,
        follow: bool = True,
    ) -> AsyncGenerator[LogLine]:
        """Lines of both streams with their times; see `LogSource.follow_logs`.

        Raises OutsideError `engine-unreachable` when the engine cannot be asked, and `engine-refused` when
        its log driver keeps nothing to read. An engine that is lost on the way ends the lines, as the end of
        the container does.
        """
        what = f"read the log of {container_id}"

        def open_log(api: DockerApi) -> ByteStream:
            return cast("LogApi", api).logs(
                container_id,
                stdout=True,
                stderr=True,
                stream=True,
                follow=follow,
                tail="all" if tail is None else tail,
                since=since,
                until=until,
                timestamps=True,
            )

        stream = await self._connection.find(what, open_log)
        if stream is None:
            return
        async with contextlib.aclosing(lines_of(stream)) as lines:
            async for line in lines:
                yield line

    async def run_program(
        self, container_id: str, argv: Sequence[str], *, terminal: WindowSize | None = None
    ) -> DockerProgram:
        """Start a program in a running container; see `ProgramSource.run_program`."""
        return await self._programs.run(container_id, argv, terminal=terminal)

    async def start(self, container_id: str) -> None:
        """Start a stopped container; nothing happens when it runs."""
        await self._connection.call(f"start {container_id}", lambda api: api.start(container_id))

    async def stop(self, container_id: str) -> None:
        """Stop with the container's own grace period; nothing happens when it is stopped or gone."""
        what = f"stop {container_id}"
        answer = await self._connection.find(what, lambda api: api.inspect_container(container_id))
        if answer is None:
            return
        seconds = stop_grace_seconds(answer) + self._connection.deadlines.answer_seconds
        await self._connection.find(what, lambda api: api.stop(container_id), seconds=seconds)

    async def signal(self, container_id: str, name: str) -> bool:
        """Send a signal to the first process; False when the container does not run or is gone.

        A container that waits to be started again takes it without an effect: it is about to begin anew.
        """

        def send(api: DockerApi) -> bool:
            from docker.errors import APIError

            try:
                api.kill(container_id, name)
            except APIError as error:
                if error.status_code != HTTPStatus.CONFLICT:
                    raise
                return False
            return True

        return await self._connection.find(f"send {name} to {container_id}", send) or False

    async def remove(self, container_id: str) -> None:
        """Remove a container, also a running one, and its anonymous volumes; never a named volume.

        It is gone when the call returns. One that is gone already, or goes by somebody else's hand, is as
        good.
        """

        def take_away(api: DockerApi) -> None:
            from docker.errors import APIError

            try:
                api.remove_container(container_id, v=True, force=True)
            except APIError as error:
                if "already in progress" not in words_of(error):
                    raise

        what = f"remove {container_id}"
        await self._connection.find(what, take_away)

        async def gone() -> bool | None:
            return True if await self.inspect(container_id) is None else None

        seconds = self._connection.deadlines.removal_seconds
        if await until(gone, clock=self._connection.clock, seconds=seconds) is None:
            raise engine_refused(what, f"it is still there after {seconds:g} s")

    async def rename(self, container_id: str, name: str) -> None:
        """Give a container another name. Raises OutsideError `engine-refused` when it is taken."""
        await self._connection.call(
            f"rename {container_id} to {name}", lambda api: api.rename(container_id, name)
        )

    async def wait(self, container_id: str, *, deadline_seconds: float) -> int:
        """The exit code, as soon as the container has ended, or could not be started at all.

        Raises OutsideError `process-timed-out`, and `engine-refused` when the container is gone.
        """

        async def ended() -> int | None:
            detail = await self.inspect(container_id)
            if detail is None:
                raise engine_refused(f"say how {container_id} ended", "the container is gone")
            state = detail.container.state
            over = state in _ENDED or (state == "created" and detail.error != "")
            return detail.exit_code if over else None

        code = await until(ended, clock=self._connection.clock, seconds=deadline_seconds)
        if code is None:
            raise OutsideError(
                PROCESS_TIMED_OUT,
                f"container {container_id[:12]} had not ended after {deadline_seconds:g} s",
                next=f"look at what it does: `docker logs {container_id[:12]}`",
            )
        return code

    async def predict(self, app: App, services: Sequence[str]) -> Prediction:
        """Compose's dry run of `up`. Raises UserError `compose-refused` for a bad document."""
        async with self._engine_first():
            return await self._compose.predict(app, services)

    async def grounds(self, app: App) -> tuple[str, ...]:
        """What a dry run goes by beside containers; see `Engine.grounds`."""
        return await self._connection.call("list its networks", lambda api: grounds_of(api, app))

    async def up(self, app: App, services: Sequence[str]) -> None:
        """Create, recreate and start `services` and nothing else; does not wait for health.

        Raises OutsideError `compose-failed` with Compose's own words. A return without an error proves
        nothing: look at the containers.
        """
        async with self._engine_first():
            await self._compose.up(app, services)

    async def up_beside(self, app: App, counts: Mapping[str, int]) -> None:
        """Bring each service to so many containers and replace none; does not wait for health.

        Raises OutsideError `compose-failed` with Compose's own words. A return without an error proves
        nothing: look at the containers.
        """
        async with self._engine_first():
            await self._compose.up_beside(app, counts)

    async def run_job(self, app: App, service: str) -> str:
        """Start a one-shot run of `service` and answer the container's id.

        A container that was made and could not be started is answered too: `wait` ends at once for it, and
        `inspect` has the engine's words.
        """
        async with self._engine_first():
            return await self._compose.run_job(app, service)

    def watch(self) -> AsyncGenerator[EngineEvent]:
        """What happens to containers with our labels; see `EngineWatch.watch`."""
        seconds = self._connection.deadlines.event_silence_seconds

        async def listen(read: Callable[[DockerApi], None]) -> None:
            await self._connection.call("tell what happens", read, seconds=seconds)

        return follow(listen, clock=self._connection.clock)

    @contextlib.asynccontextmanager
    async def _engine_first(self) -> AsyncGenerator[None]:
        """A failure of Compose counts as `engine-unreachable` when the engine itself does not answer."""
        await self._connection.ready()
        try:
            yield
        except OutsideError as error:
            if error.code == COMPOSE_FAILED:
                await self._connection.call("answer", lambda api: api.ping())
            raise
