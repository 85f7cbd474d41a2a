"""One Docker engine, through its own API and, for what Compose decides, through the Compose client.

The low-level client of the Docker SDK is used, because the high-level one inspects every container of a
listing one by one. Every request has a read deadline, set in one place; no call is left to the SDK's own
patience, which is endless for a pull. Failures of connection and refusals become our errors in one place
too, `_call`. Waiting for a container is asking again, not a request that hangs, so it can be cancelled.

`close` gives back connections and threads; the object may be used from several event loops before that.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar, cast

import requests
import urllib3.exceptions
from docker.api import APIClient
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env

from events.kernel.clock import Clock, SystemClock
from events.kernel.errors import OutsideError
from events.kernel.process import PROCESS_TIMED_OUT
from projections.engine.address import EngineAddress
from projections.engine.api import DockerApi
from projections.engine.building import BuildReader, build_failed, check_push, timed_out
from projections.engine.calls import BlockingCalls, at_most, patience_seconds
from projections.engine.compose import UP_SECONDS, ComposeClient
from projections.engine.errors import COMPOSE_FAILED, engine_refused, engine_unreachable, shown
from projections.engine.events import follow
from projections.engine.following import ByteStream, LogApi, lines_of
from projections.engine.listening import Listening, note_response
from projections.engine.makeup import ImageDefaults, Makeup, image_defaults, makeup_of
from projections.engine.model import (
    container_from_inspection,
    container_from_listing,
    image_from_inspection,
    platform_of,
    stop_grace_seconds,
)
from projections.engine.port import (
    App,
    Container,
    ContainerDetail,
    EngineEvent,
    EngineIdentity,
    Image,
    ImageRecipe,
    Prediction,
)
from projections.engine.registry import (
    check_progress,
    image_unavailable,
    no_answer,
    pull_name,
    registry_digest,
)
from projections.engine.stock import COMPOSE_PROJECT_LABEL, EngineStock
from projections.engine.tether import Tether
from projections.engine.waiting import until

_READ_TIMEOUT = re.compile(r"read timeout=(\d+)")
_ENDED = frozenset({"exited", "dead"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long one engine is waited for."""

    hello_seconds: float = 10.0  # the first question, which an engine answers without any work
    answer_seconds: float = 30.0  # a listing takes 2 ms; a removal under load takes seconds
    registry_seconds: float = 20.0  # the engine itself gives a registry 15 s to connect
    pull_silence_seconds: float = 120.0  # between two lines of progress: a large layer being unpacked
    pull_seconds: float = 3600.0
    removal_seconds: float = 30.0  # after somebody else began to remove the container
    up_seconds: float = UP_SECONDS
    event_silence_seconds: float = 300.0  # then it is asked anew, which finds a connection that died


class DockerEngine:
    """The engine at an address, `Engine` by its methods."""

    def __init__(
        self,
        base_url: str | None,
        run_folder: Path,
        *,
        clock: Clock | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        """No connection is made yet.

        Without `base_url` it is where DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say, else the
        local socket. `run_folder` takes the Compose client's private, empty home.
        """
        self._address = EngineAddress.chosen(base_url)
        self._clock = clock or SystemClock()
        self._deadlines = deadlines or Deadlines()
        self._calls = BlockingCalls(self._open, name="engine")
        self._tether = Tether(self._address.socket_path)
        self._compose = ComposeClient(
            engine=self._address.variables,
            run_folder=run_folder,
            up_seconds=self._deadlines.up_seconds,
        )

    @property
    def local(self) -> bool:
        """Whether it runs on this machine: then its ports are this machine's."""
        return self._address.local

    @property
    def stock(self) -> EngineStock:
        """What it holds beside containers."""
        return EngineStock(self._find)

    def close(self) -> None:
        """Give back connections and threads. A call that is still under way ends with its own deadline."""
        self._calls.close()
        self._tether.drop()

    async def identity(self) -> EngineIdentity:
        """Who answers. Raises OutsideError `engine-unreachable`."""
        version, info = await self._call("say who it is", lambda api: (api.version(), api.info()))
        return EngineIdentity(
            machine=self._address.machine(name=str(info.get("Name") or "")),
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
        answers = await self._call(
            "list its containers",
            lambda api: api.containers(all=True, filters=filters),
        )
        return sorted(map(container_from_listing, answers), key=lambda container: container.name)

    async def inspect(self, container_id: str) -> ContainerDetail | None:
        """One container, None when it is gone.

        Raises OutsideError `engine-unreachable` once when the engine was restarted since it last answered:
        what became of the container then is the engine's doing, not its own.
        """
        if self._tether.lost(now=self._clock.monotonic()):
            raise engine_unreachable(self._address.url, "it was restarted since it answered last")
        answer = await self._find(
            f"show container {container_id}", lambda api: api.inspect_container(container_id)
        )
        return container_from_inspection(answer) if answer is not None else None

    async def image(self, ref: str) -> Image | None:
        """An image the engine has, by tag, digest or id; None when it has none."""
        answer = await self._find(f"show image {ref}", lambda api: api.inspect_image(ref))
        return image_from_inspection(answer) if answer is not None else None

    async def makeup(self, container_id: str) -> Makeup | None:
        """What a container was made with, field by field; None when it is gone."""
        answer = await self._find(
            f"show container {container_id}", lambda api: api.inspect_container(container_id)
        )
        return makeup_of(answer) if answer is not None else None

    async def image_defaults(self, ref: str) -> ImageDefaults | None:
        """What an image gives its containers; None when the engine has none of that name."""
        answer = await self._find(f"show image {ref}", lambda api: api.inspect_image(ref))
        return image_defaults(answer) if answer is not None else None

    async def registry_digest(self, ref: str) -> str:
        """The digest that the registry gives the tag now.

        Raises OutsideError `image-not-found` when the registry knows no such image or does not show it,
        and `registry-unreachable` when there is no answer in time.
        """

        def ask(api: DockerApi) -> str:
            with _image_errors(ref):
                return registry_digest(ref, api.inspect_distribution(ref))

        return await self._call(f"ask for {ref}", ask, seconds=self._deadlines.registry_seconds)

    async def pull(self, ref: str) -> Image:
        """Fetch an image. Raises OutsideError `image-not-found` or `registry-unreachable`."""
        given_up = threading.Event()
        seconds = self._deadlines.pull_seconds
        deadline = self._clock.monotonic() + seconds

        def fetch(api: DockerApi) -> None:
            repository, tag = pull_name(ref)
            with _image_errors(ref):
                for line in api.pull(repository, tag=tag, stream=True, decode=True):
                    check_progress(ref, line)
                    if given_up.is_set() or self._clock.monotonic() > deadline:
                        raise no_answer(ref, f"it was not complete after {seconds:g} s")

        try:
            await self._call(f"pull {ref}", fetch, seconds=self._deadlines.pull_silence_seconds)
        finally:
            given_up.set()  # a cancelled caller must not leave a thread that pulls on for an hour
        pulled = await self.image(ref)
        if pulled is None:
            raise engine_refused(f"keep the image {ref}", "it was pulled and is not there")
        return pulled

    async def tag(self, image_id: str, name: str) -> None:
        """Give an image a further `repository:tag` name."""
        repository, _, tag = name.rpartition(":")
        await self._call(f"tag {image_id} as {name}", lambda api: api.tag(image_id, repository, tag))

    async def build(self, recipe: ImageRecipe, *, seconds: float, told: Callable[[str], None]) -> Image:
        """Build an image with the engine's own builder; see `ImageBuilder.build`."""

        def make(api: DockerApi, over: Callable[[], bool]) -> str:
            reader = BuildReader(tag=recipe.tag, told=told, over=over, seconds=seconds)
            with recipe.context.open("rb") as context, _build_errors(recipe.tag):
                lines = api.build(
                    fileobj=context,
                    custom_context=True,
                    tag=recipe.tag,
                    dockerfile=recipe.dockerfile,
                    buildargs=dict(recipe.args),
                    labels=recipe.labels,
                    target=recipe.target,
                    platform=recipe.platform,
                    rm=True,
                    forcerm=True,
                    decode=True,
                )
                return reader.read(lines)

        image_id = await self._in_time(f"build {recipe.tag}", make, seconds=seconds)
        built = await self.image(image_id)
        if built is None:
            raise engine_refused(f"keep the image {recipe.tag}", "it was built and is not there")
        return built

    async def push(self, ref: str, *, seconds: float) -> None:
        """Push a tag to its registry; see `ImageBuilder.push`."""

        def send(api: DockerApi, over: Callable[[], bool]) -> None:
            repository, tag = pull_name(ref)
            lines = api.push(repository, tag=tag, stream=True, decode=True)
            check_push(ref, lines, over=over, seconds=seconds)

        await self._in_time(f"push {ref}", send, seconds=seconds)

    async def _in_time(
        self, what: str, call: Callable[[DockerApi, Callable[[], bool]], T], *, seconds: float
    ) -> T:
        """As `_call`, for one that answers bit by bit and may be silent for all of its time.

        When it is over or given up the connection is cut: the engine ends what it does for nobody, and no
        thread goes on listening. `call` gets a question: whether anybody still waits.
        """
        listening = Listening()
        deadline = self._clock.monotonic() + seconds

        def attend(api: DockerApi) -> T:
            with listening:
                return call(api, lambda: listening.cut_off or self._clock.monotonic() > deadline)

        try:
            async with asyncio.timeout(seconds):
                return await self._call(what, attend, seconds=seconds)
        except TimeoutError as error:
            raise timed_out(f"to {what}", seconds, ()) from error
        finally:
            listening.cut()

    async def logs(self, container_id: str, *, tail: int) -> tuple[str, ...]:
        """The last lines of both streams, printable, credentials masked, at most 500 characters each.

        Empty when the container is gone; the engine's own words when its log driver keeps nothing to read.
        """

        def read(api: DockerApi) -> bytes:
            try:
                return api.logs(container_id, stdout=True, stderr=True, tail=tail)
            except APIError as error:
                if "does not support reading" in _words(error):
                    return _words(error).encode()
                raise

        printed = await self._find(f"read the log of {container_id}", read) or b""
        lines = printed.decode(errors="replace").rstrip("\n").split("\n")
        return tuple(shown(line) for line in lines[-tail:]) if printed and tail > 0 else ()

    async def follow_logs(
        self, container_id: str, *, tail: int | None = None, since: float | None = None, follow: bool = True
    ) -> AsyncGenerator[str]:
        """Lines of both streams, printable, credentials masked; with `follow` until the container ends.

        `tail` None: all there are; `since` in seconds of the epoch. Nothing when the container is gone.
        Raises OutsideError `engine-unreachable` when the engine cannot be asked or is lost on the way, and
        `engine-refused` when its log driver keeps nothing to read.
        """
        what = f"read the log of {container_id}"

        def open_log(api: DockerApi) -> ByteStream:
            wanted = "all" if tail is None else tail
            return cast("LogApi", api).logs(
                container_id, stdout=True, stderr=True, stream=True, follow=follow, tail=wanted, since=since
            )

        stream = await self._find(what, open_log)
        if stream is None:
            return
        async with contextlib.aclosing(lines_of(stream)) as lines:
            async for line in lines:
                yield line

    async def start(self, container_id: str) -> None:
        """Start a stopped container; nothing happens when it runs."""
        await self._call(f"start {container_id}", lambda api: api.start(container_id))

    async def stop(self, container_id: str) -> None:
        """Stop with the container's own grace period; nothing happens when it is stopped or gone."""
        what = f"stop {container_id}"
        answer = await self._find(what, lambda api: api.inspect_container(container_id))
        if answer is None:
            return
        seconds = stop_grace_seconds(answer) + self._deadlines.answer_seconds
        await self._find(what, lambda api: api.stop(container_id), seconds=seconds)

    async def remove(self, container_id: str) -> None:
        """Remove a container, also a running one, and its anonymous volumes; never a named volume.

        It is gone when the call returns. One that is gone already, or goes by somebody else's hand, is as
        good.
        """

        def take_away(api: DockerApi) -> None:
            try:
                api.remove_container(container_id, v=True, force=True)
            except APIError as error:
                if "already in progress" not in _words(error):
                    raise

        what = f"remove {container_id}"
        await self._find(what, take_away)

        async def gone() -> bool | None:
            return True if await self.inspect(container_id) is None else None

        seconds = self._deadlines.removal_seconds
        if await until(gone, clock=self._clock, seconds=seconds) is None:
            raise engine_refused(what, f"it is still there after {seconds:g} s")

    async def rename(self, container_id: str, name: str) -> None:
        """Give a container another name. Raises OutsideError `engine-refused` when it is taken."""
        await self._call(f"rename {container_id} to {name}", lambda api: api.rename(container_id, name))

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

        code = await until(ended, clock=self._clock, seconds=deadline_seconds)
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

    async def up(self, app: App, services: Sequence[str]) -> None:
        """Create, recreate and start `services` and nothing else; does not wait for health.

        Raises OutsideError `compose-failed` with Compose's own words. A return without an error proves
        nothing: look at the containers.
        """
        async with self._engine_first():
            await self._compose.up(app, services)

    async def run_job(self, app: App, service: str) -> str:
        """Start a one-shot run of `service` and answer the container's id.

        A container that was made and could not be started is answered too: `wait` ends at once for it, and
        `inspect` has the engine's words.
        """
        async with self._engine_first():
            return await self._compose.run_job(app, service)

    def watch(self) -> AsyncGenerator[EngineEvent]:
        """What happens to containers with our labels; see `EngineWatch.watch`."""
        seconds = self._deadlines.event_silence_seconds

        async def listen(read: Callable[[DockerApi], None]) -> None:
            await self._call("tell what happens", read, seconds=seconds)

        return follow(listen, clock=self._clock)

    @contextlib.asynccontextmanager
    async def _engine_first(self) -> AsyncGenerator[None]:
        """A failure of Compose counts as `engine-unreachable` when the engine itself does not answer."""
        try:
            yield
        except OutsideError as error:
            if error.code == COMPOSE_FAILED:
                await self._call("answer", lambda api: api.ping())
            raise

    async def _find(
        self, what: str, call: Callable[[DockerApi], T], *, seconds: float | None = None
    ) -> T | None:
        """As `_call`, None when the engine has no such thing."""

        def look(api: DockerApi) -> T | None:
            try:
                return call(api)
            except NotFound:
                return None

        return await self._call(what, look, seconds=seconds)

    async def _call(self, what: str, call: Callable[[DockerApi], T], *, seconds: float | None = None) -> T:
        """Run `call` in a thread; each of its requests may keep silent for `seconds`.

        Raises OutsideError `engine-unreachable` or `engine-refused`; errors of ours pass.
        """

        def knock_and_call(api: DockerApi) -> T:
            self._address.knock(seconds=patience_seconds())
            return call(api)

        patience = self._deadlines.answer_seconds if seconds is None else seconds
        try:
            answer = await self._calls.run(knock_and_call, seconds=patience)
        except APIError as error:
            raise engine_refused(what, _words(error)) from error
        except (OSError, DockerException, urllib3.exceptions.HTTPError) as error:
            self._calls.forget()  # who answers next may speak another version
            self._tether.drop()
            raise engine_unreachable(self._address.url, _silence(error) or str(error)) from error
        self._tether.renew(now=self._clock.monotonic())
        return answer

    def _open(self) -> DockerApi:
        """A client; making it asks the engine for its API version."""
        with at_most(self._deadlines.hello_seconds):
            self._address.knock(seconds=patience_seconds())
            tls: Any = kwargs_from_env(environment=self._address.variables).get("tls", False)
            client: object = _PatientClient(base_url=self._address.url, version="auto", tls=tls)
        return cast("DockerApi", client)


class _PatientClient(APIClient):
    """The SDK's client with the deadline of the call in place of the SDK's own, which differ by method."""

    def request(
        self,
        method: str | bytes,
        url: str | bytes,
        *args: Any,  # noqa: ANN401  # passed on as they come
        **kwargs: Any,  # noqa: ANN401  # as above
    ) -> requests.Response:
        """One request of whatever method of the SDK."""
        kwargs["timeout"] = patience_seconds()
        response = super().request(method, url, *args, **kwargs)
        note_response(response)
        return response


def _silence(error: BaseException) -> str:
    """How long an engine that takes connections said nothing; empty for any other failure."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, requests.exceptions.ReadTimeout):
            seconds = _READ_TIMEOUT.search(str(found))
            return f"it takes connections and said nothing{f' for {seconds[1]} s' if seconds else ''}"
        found = found.__cause__ or found.__context__
    return ""


def _words(error: APIError) -> str:
    """What the engine said."""
    explanation: object = error.explanation
    return str(explanation or error)


@contextlib.contextmanager
def _image_errors(ref: str) -> Generator[None]:
    """Refusals and silence while the engine speaks with a registry are about the image."""
    try:
        yield
    except APIError as error:
        raise image_unavailable(ref, _words(error)) from error
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise no_answer(ref, f"nothing was heard for {patience_seconds():g} s") from error


@contextlib.contextmanager
def _build_errors(tag: str) -> Generator[None]:
    """What the engine refuses before it begins is about the Dockerfile and its options."""
    try:
        yield
    except APIError as error:
        if error.status_code != HTTPStatus.BAD_REQUEST:
            raise
        raise build_failed(tag, _words(error)) from error
