"""What ends a wait for health before its time: a newer Release that stands in the environment's stream.

The log is the message. Whoever wants something newer appends a request, from any process and without the
lock; whoever waits for containers looks at the stream meanwhile and ends the wait. Only a wait is ended: what
was begun (a pull, an exchange, a job) goes on to its end, and what it changed stays for the newer Release to
plan from.

Two waits go on all the same. One for the very Manifest that the newer Release wants has nothing to gain. And
a Release that goes back from what is deployed is ended by another way back alone: until it completes, what
counts as deployed is what somebody wants to get away from, and a newer Release that failed would take itself
back to just that.

`SupersededError` is not of the errors' tree, so that nothing which deals with failures takes it for one. It
is raised in a wait and ends in whoever began the undertaking. (Waiting for the log in a thread was dropped:
it would hold a thread for each wait, and the stream's version is one quick question.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from events.catalog import decode
from events.catalog.environment import DeployRequested, RevertDetected, RollbackRequested
from events.catalog.release import (
    ReleaseCancelled,
    ReleaseCompleted,
    ReleaseFailed,
    ReleaseKind,
    ReleaseRolledBack,
    ReleaseSuperseded,
)
from events.envelope import StoredEvent
from events.kernel.clock import Clock
from events.log import EventLog
from events.streams import StreamName

LOOK_SECONDS = 0.25  # between two looks at the stream

Rest = Callable[[float], Awaitable[None]]  # awaited for so many seconds between two looks at containers

_Request = DeployRequested | RevertDetected | RollbackRequested
_REQUESTS = (DeployRequested, RevertDetected, RollbackRequested)
_VERDICTS = (ReleaseCompleted, ReleaseFailed, ReleaseRolledBack, ReleaseSuperseded, ReleaseCancelled)
_NAMES = frozenset(one.__name__ for one in (*_REQUESTS, *_VERDICTS))


class SupersededError(Exception):
    """A newer Release ended a wait for health; not a failure of anything."""

    def __init__(self, by: str) -> None:
        super().__init__(f"{by} came meanwhile")
        self.by = by  # the newer Release


def goes_back(kind: ReleaseKind, *, brings_new: bool) -> bool:
    """Whether a Release brings back what ran before."""
    return kind in {"rollback", "revert"} and not brings_new


@dataclass(slots=True, kw_only=True)
class Newer:
    """What was asked for after a Release; `release` None: any Release that waits, as for healing."""

    log: EventLog
    stream: StreamName  # the environment's
    clock: Clock
    release: str | None = None
    digest: str | None = None  # its Manifest
    goes_back: bool = False  # from what is deployed
    version: int = 0  # of the stream, as far as it was read
    _waiting: dict[str, _Request] = field(default_factory=dict[str, _Request])  # without a verdict, in order
    _due: float = 0.0  # monotonic seconds of the next look

    async def rest(self, seconds: float) -> None:
        """Rest between two looks at containers. Raises SupersededError when a newer Release ends the wait."""
        await self.clock.sleep(seconds)
        now = self.clock.monotonic()
        if now >= self._due:
            self._due = now + LOOK_SECONDS
            if (by := self.ends_wait()) is not None:
                raise SupersededError(by)

    async def rest_live(self, seconds: float) -> None:
        """Rest while only old containers are waited for. Raises SupersededError for what goes back alone.

        Whatever else is newer can wait: this Release is live, and has proved to be.
        """
        await self.clock.sleep(seconds)
        now = self.clock.monotonic()
        if now >= self._due:
            self._due = now + LOOK_SECONDS
            newest = self._newest()
            if newest is not None and _is_way_back(newest) and (by := self.ends_wait()) is not None:
                raise SupersededError(by)

    def ends_wait(self) -> str | None:
        """The newer Release that ends a wait for health now; None: there is none, or the wait goes on."""
        newest = self._newest()
        if newest is None or newest.digest == self.digest:
            return None
        return newest.release if _is_way_back(newest) or not self.goes_back else None

    def stands(self) -> bool:
        """Whether anything newer waits for its turn."""
        return self._newest() is not None

    def _newest(self) -> _Request | None:
        """The newest Release without a verdict, None when that is the own one."""
        if self.log.stream_version(self.stream) > self.version:
            for stored in self.log.read_stream(self.stream, after_version=self.version):
                self._note(stored)
        newest = next(reversed(self._waiting.values()), None)
        return None if newest is None or newest.release == self.release else newest

    def _note(self, stored: StoredEvent) -> None:
        self.version = stored.version
        if stored.type not in _NAMES:
            return
        event = decode(stored)
        if isinstance(event, _REQUESTS):
            self._waiting[event.release] = event
        elif isinstance(event, _VERDICTS):
            self._waiting.pop(event.release, None)


def _is_way_back(request: _Request) -> bool:
    """Whether what is asked for ran here before."""
    if isinstance(request, DeployRequested):
        return False
    return isinstance(request, RollbackRequested) or request.by == "tree"
