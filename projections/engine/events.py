"""The engine's event stream as hints: which environment to look at, and when hints may have been missed.

The stream blocks a thread; what it says goes into a bounded inbox of the loop. A full inbox, a connection
that broke and the first connection all say the same: anything may have happened, look everywhere. A silent
stream is asked for anew from time to time, from where it was, because an engine that is gone without a
goodbye is silent too.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta

from events import labels
from events.kernel.clock import Clock
from projections.engine.api import Answer, DockerApi, EventAnswers
from projections.engine.stock import COMPOSE_PROJECT_LABEL
from projections.engine.watch_port import EngineEvent

ACTIONS = (
    "start", "die", "stop", "destroy", "pause", "unpause", "rename", "oom", "health_status", "update",
)  # fmt: skip
NETWORK_ACTIONS = ("connect", "disconnect")
_MAX_WAITING = 1000
_PAUSE_SECONDS = 1.0  # before a broken stream is asked for again
_OVERLAP = timedelta(seconds=1)

Listen = Callable[[Callable[[DockerApi], None]], Awaitable[None]]
"""Runs a blocking function of the client in a thread. Raises OutsideError `engine-unreachable`."""


async def follow(listen: Listen, *, clock: Clock) -> AsyncGenerator[EngineEvent]:
    """Hints for as long as the engine answers; close the generator to stop listening."""
    missed = True
    while True:
        inbox = _Inbox(since=clock.now().timestamp() - _OVERLAP.total_seconds(), missed=missed)
        listening = asyncio.ensure_future(listen(inbox.read))
        listening.add_done_callback(inbox.ended)
        try:
            while not listening.done():
                await inbox.news.wait()
                inbox.news.clear()
                for event in inbox.take():
                    yield event
            listening.result()
        finally:
            inbox.close()
            listening.cancel()
        missed = not inbox.silent
        if missed:
            await clock.sleep(_PAUSE_SECONDS)


class _Inbox:
    """Between the thread that reads the stream and the loop that takes from it."""

    def __init__(self, *, since: float, missed: bool) -> None:
        self.news = asyncio.Event()
        self.silent = False  # the stream ended for want of events
        self._since = since
        self._missed = missed
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._events: deque[EngineEvent] = deque()
        self._stream: EventAnswers | None = None
        self._closed = False

    def read(self, api: DockerApi) -> None:
        """Read until the stream ends; runs in a thread."""
        import urllib3.exceptions  # noqa: PLC0415  # the client's own, imported with its first call

        filters = {"type": ["container", "network"], "event": [*ACTIONS, *NETWORK_ACTIONS]}
        stream = api.events(since=f"{self._since:.3f}", filters=filters, decode=True)
        with self._lock:
            self._stream = stream
            closed = self._closed
        if closed:
            stream.close()
            return
        if self._missed:
            self._put(EngineEvent())
        try:
            for answer in stream:
                if _may_concern(answer):
                    self._put(event_of(answer))
        except urllib3.exceptions.TimeoutError:
            self.silent = True
        finally:
            stream.close()

    def take(self) -> list[EngineEvent]:
        """What waits."""
        with self._lock:
            taken = list(self._events)
            self._events.clear()
        return taken

    def close(self) -> None:
        """End the thread's reading."""
        with self._lock:
            self._closed = True
            stream = self._stream
        if stream is not None:
            stream.close()

    def ended(self, listening: asyncio.Future[None]) -> None:
        """Wake the loop; an error that nobody is left to hear is not a bug."""
        if not listening.cancelled():
            listening.exception()
        self.news.set()

    def _put(self, event: EngineEvent) -> None:
        with self._lock:
            if len(self._events) >= _MAX_WAITING:
                self._events.clear()
                event = EngineEvent()
            self._events.append(event)
            if not self._closed:
                self._loop.call_soon_threadsafe(self.news.set)


def _may_concern(answer: Answer) -> bool:
    """Whether it is about a container of Compose's, or about one that came to a network or left it.

    The engine's own filter by label would keep what it says of networks back, which names no label. Its
    filter by action lets the end of a network pass, which says nothing of a container.
    """
    actor: Answer = answer.get("Actor") or {}
    if answer.get("Type") == "network":
        return answer.get("Action") in NETWORK_ACTIONS
    return COMPOSE_PROJECT_LABEL in (actor.get("Attributes") or {})


def event_of(answer: Answer) -> EngineEvent:
    """What one object of the stream says; labels stand among the actor's attributes.

    Of a container that came to a network or left it the engine says the id alone.
    """
    actor: Answer = answer.get("Actor") or {}
    found: Answer = actor.get("Attributes") or {}
    if answer.get("Type") == "network":
        action, container = str(answer.get("Action") or ""), str(found.get("container") or "")
        return EngineEvent(environment="", action=action, container=container)
    project, name = found.get(labels.PROJECT), found.get(labels.ENVIRONMENT)
    known = isinstance(project, str) and isinstance(name, str)
    container = str(actor.get("ID") or answer.get("id") or "")
    action = str(answer.get("Action") or answer.get("status") or "")
    if container and not any(label in found for label in labels.IDENTITY):
        return EngineEvent(environment="", action=action, container=container)
    return EngineEvent(
        environment=f"{project}/{name}" if known else None,
        service=str(found.get(labels.SERVICE) or ""),
        action=action,
    )
