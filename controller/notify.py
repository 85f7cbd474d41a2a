"""Telling somebody outside: one webhook or one command, which can neither fail nor delay a deploy.

A notice goes into a bounded queue and the deploy goes on. One task empties the queue, each notice with a
deadline. What goes wrong is reported once until something works again, and never raised. Nothing is kept
for later: the log has it all.
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

from events.kernel.clock import format_utc
from events.kernel.errors import StagecraftError
from events.kernel.process import run
from events.kernel.redact import REDACT, printable
from gitops.config.controller import NotifySection

Subject = Literal["failed", "rolled_back", "stale", "recovered"]

_MAX_WAITING = 100
_GIVEN = ("PATH", "HOME", "LANG", "TMPDIR")  # what a command may see of our variables


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that somebody wants to know."""

    event: Subject
    environment: str  # `<project>/<name>`
    release: str | None
    status: str
    message: str
    time: datetime

    def as_json(self) -> bytes:
        """The body: one JSON object, without secrets."""
        told = {
            "event": self.event,
            "environment": self.environment,
            "release": self.release,
            "status": self.status,
            "message": REDACT(printable(self.message)),
            "time": format_utc(self.time),
        }
        return json.dumps(told).encode()


@dataclass(slots=True, kw_only=True)
class Notifier:
    """Sends notices, one after another; belongs to one event loop."""

    settings: NotifySection
    say: Callable[[str], None]
    _waiting: asyncio.Queue[Notice] = field(init=False)
    _failing: bool = False

    def __post_init__(self) -> None:
        self._waiting = asyncio.Queue(_MAX_WAITING)

    def tell(self, notice: Notice) -> None:
        """Queue a notice; returns at once, and drops it when too many wait or nobody is to be told."""
        if self.settings.webhook is None and self.settings.command is None:
            return
        try:
            self._waiting.put_nowait(notice)
        except asyncio.QueueFull:
            self._report(f"{_MAX_WAITING} notices wait already; one was dropped")

    def waiting(self) -> list[Notice]:
        """Take out what was not sent yet, oldest first."""
        taken: list[Notice] = []
        while not self._waiting.empty():
            taken.append(self._waiting.get_nowait())
            self._waiting.task_done()
        return taken

    async def run(self) -> None:
        """Send what waits, for ever."""
        while True:
            notice = await self._waiting.get()
            try:
                await self._send(notice.as_json())
                self._failing = False
            except (OSError, ValueError, StagecraftError) as error:
                self._report(_words(error))
            finally:
                self._waiting.task_done()

    async def flush(self, *, seconds: float) -> None:
        """Wait for what is queued, but not for longer than that."""
        try:
            async with asyncio.timeout(seconds):
                await self._waiting.join()
        except TimeoutError:
            self._report("some were not sent before the end")

    async def _send(self, body: bytes) -> None:
        seconds = self.settings.deadline
        if self.settings.webhook is not None:
            async with asyncio.timeout(seconds):
                await asyncio.to_thread(_post, self.settings.webhook, body, seconds)
        if self.settings.command is not None:
            environment = {name: os.environ[name] for name in _GIVEN if name in os.environ}
            ended = await run(
                self.settings.command,
                env=environment,
                stdin=body,
                deadline_seconds=seconds,
                grace_seconds=1.0,
            )
            if ended.code != 0:
                raise OSError(f"{ended.argv[0]} ended with {ended.code}: {ended.error_text}")

    def _report(self, why: str) -> None:
        """Say it once; the next one is heard of after something worked."""
        if not self._failing:
            self._failing = True
            self.say(f"a notice could not be sent: {REDACT(printable(why))}")


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer before the deadline"
    return error.message if isinstance(error, StagecraftError) else str(error)


def _post(url: str, body: bytes, seconds: float) -> None:
    """Blocks. Raises OSError for a server that does not answer or refuses."""
    request = urllib.request.Request(  # noqa: S310  # the scheme was checked when the file was read
        url, data=body, headers={"Content-Type": "application/json", "User-Agent": "stagecraft"}
    )
    try:
        with urllib.request.urlopen(request, timeout=seconds):  # noqa: S310  # as above
            pass
    except OSError as error:
        raise OSError(f"{urlsplit(url).hostname}: {error}") from error
