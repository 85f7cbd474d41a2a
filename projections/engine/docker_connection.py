"""How one Docker engine is spoken with: a client of the SDK, threads, deadlines, and errors that are ours.

The low-level client of the Docker SDK is used, because the high-level one inspects every container of a
listing one by one. Every request has a read deadline, set in one place; no call is left to the SDK's own
patience, which is endless for a pull. Failures of connection and refusals become our errors in one place
too, `DockerConnection.call`.

The SDK and what it speaks with are imported with the first call: who has an engine at hand and asks it
nothing does not wait for them.

`close` gives back connections and threads; the object may be used from several event loops before that.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from events.kernel.clock import Clock, SystemClock
from events.kernel.errors import OutsideError
from projections.engine.address import EngineAddress
from projections.engine.api import DockerApi
from projections.engine.building import build_failed, timed_out
from projections.engine.calls import BlockingCalls, at_most, patience_seconds
from projections.engine.compose import UP_SECONDS
from projections.engine.door import EngineDoor
from projections.engine.errors import engine_refused, engine_unreachable
from projections.engine.listening import Listening
from projections.engine.registry import image_unavailable, no_answer
from projections.engine.tether import Tether

if TYPE_CHECKING:
    from docker.errors import APIError

_READ_TIMEOUT = re.compile(r"read timeout=(\d+)")

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


class DockerConnection:
    """Calls of one engine's API."""

    def __init__(
        self,
        base_url: str | None,
        *,
        clock: Clock | None = None,
        deadlines: Deadlines | None = None,
        door: EngineDoor | None = None,
    ) -> None:
        """No connection is made yet.

        Without `base_url` it is where DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say, else the
        local socket. With a `door` it is there, on another machine.
        """
        self.door = door
        self.address = (
            EngineAddress.chosen(base_url) if door is None else EngineAddress(url=door.url, elsewhere=True)
        )
        self.clock = clock or SystemClock()
        self.deadlines = deadlines or Deadlines()
        self._calls = BlockingCalls(self._open, name="engine")
        self._tether = Tether(self.address.socket_path)

    def close(self) -> None:
        """Give back connections and threads. A call that is still under way ends with its own deadline."""
        self._calls.close()
        self._tether.drop()

    async def ready(self) -> int:
        """Make sure that the engine's machine answers; what its door counts.

        Raises OutsideError with a code in `HOST_SILENT`, for an engine behind a door alone.
        """
        return 0 if self.door is None else await self.door.open()

    async def machine(self, *, name: str) -> str:
        """The id of the engine's machine; where it has none, its `name`. Raises as `call`."""
        if self.door is None:
            return self.address.machine(name=name)
        try:
            return await self.door.machine() or f"name:{name}"
        except OSError as error:
            raise engine_unreachable(
                self.address.url, f"its machine does not say who it is: {error}"
            ) from error

    async def refuse_restarted(self) -> None:
        """Raise OutsideError `engine-unreachable` once when the engine was restarted meanwhile.

        Raises OutsideError with a code in `HOST_SILENT` too, for an engine behind a door.
        """
        losses = await self.ready()
        if self._tether.lost(now=self.clock.monotonic(), losses=losses):
            raise engine_unreachable(self.address.url, "it was restarted since it answered last")

    async def find(
        self, what: str, call: Callable[[DockerApi], T], *, seconds: float | None = None
    ) -> T | None:
        """As `_call`, None when the engine has no such thing."""

        def look(api: DockerApi) -> T | None:
            from docker.errors import NotFound

            try:
                return call(api)
            except NotFound:
                return None

        return await self.call(what, look, seconds=seconds)

    async def call(self, what: str, call: Callable[[DockerApi], T], *, seconds: float | None = None) -> T:
        """Run `call` in a thread; each of its requests may keep silent for `seconds`.

        Raises OutsideError `engine-unreachable` or `engine-refused`, or with a code in `HOST_SILENT` when the
        engine is behind a door; errors of ours pass.
        """
        import urllib3.exceptions
        from docker.errors import APIError, DockerException

        losses = await self.ready()

        def knock_and_call(api: DockerApi) -> T:
            self.address.knock(seconds=patience_seconds())
            return call(api)

        patience = self.deadlines.answer_seconds if seconds is None else seconds
        try:
            answer = await self._calls.run(knock_and_call, seconds=patience)
        except APIError as error:
            raise engine_refused(what, words_of(error)) from error
        except (OSError, DockerException, urllib3.exceptions.HTTPError) as error:
            self._calls.forget()  # who answers next may speak another version
            self._tether.drop()
            raise await self._unreachable(error, losses=losses) from error
        self._tether.renew(now=self.clock.monotonic(), losses=losses)
        return answer

    async def _unreachable(self, error: Exception, *, losses: int) -> OutsideError:
        """What to say of an engine that cannot be asked: where its machine is what is silent, that."""
        if self.door is None:
            return engine_unreachable(self.address.url, _silence(error) or str(error))
        if await self.door.open() != losses:
            return self.door.broken()
        return engine_unreachable(self.address.url, self.door.trouble or _silence(error) or str(error))

    async def in_time(
        self, what: str, call: Callable[[DockerApi, Callable[[], bool]], T], *, seconds: float
    ) -> T:
        """As `_call`, for one that answers bit by bit and may be silent for all of its time.

        When it is over or given up the connection is cut: the engine ends what it does for nobody, and no
        thread goes on listening. `call` gets a question: whether anybody still waits.
        """
        listening = Listening()
        deadline = self.clock.monotonic() + seconds

        def attend(api: DockerApi) -> T:
            with listening:
                return call(api, lambda: listening.cut_off or self.clock.monotonic() > deadline)

        try:
            async with asyncio.timeout(seconds):
                return await self.call(what, attend, seconds=seconds)
        except TimeoutError as error:
            raise timed_out(f"to {what}", seconds, ()) from error
        finally:
            listening.cut()

    def _open(self) -> DockerApi:
        """A client; making it asks the engine for its API version."""
        from projections.engine.docker_client import open_client

        with at_most(self.deadlines.hello_seconds):
            self.address.knock(seconds=patience_seconds())
            return open_client(self.address.url, variables=self.address.variables)


def _silence(error: BaseException) -> str:
    """How long an engine that takes connections said nothing; empty for any other failure."""
    import requests

    found: BaseException | None = error
    while found is not None:
        if isinstance(found, requests.exceptions.ReadTimeout):
            seconds = _READ_TIMEOUT.search(str(found))
            return f"it takes connections and said nothing{f' for {seconds[1]} s' if seconds else ''}"
        found = found.__cause__ or found.__context__
    return ""


def words_of(error: APIError) -> str:
    """What the engine said."""
    explanation: object = error.explanation
    return str(explanation or error)


@contextlib.contextmanager
def image_errors(ref: str) -> Generator[None]:
    """Refusals and silence while the engine speaks with a registry are about the image."""
    import requests
    import urllib3.exceptions
    from docker.errors import APIError

    try:
        yield
    except APIError as error:
        raise image_unavailable(ref, words_of(error)) from error
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise no_answer(ref, f"nothing was heard for {patience_seconds():g} s") from error


@contextlib.contextmanager
def build_errors(tag: str) -> Generator[None]:
    """What the engine refuses before it begins is about the Dockerfile and its options."""
    from docker.errors import APIError

    try:
        yield
    except APIError as error:
        if error.status_code != HTTPStatus.BAD_REQUEST:
            raise
        raise build_failed(tag, words_of(error)) from error
