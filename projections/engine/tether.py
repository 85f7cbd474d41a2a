"""Noticing that an engine was restarted between two questions.

An engine that crashes and comes back within a second answers each question, before and after. But it has
ended the containers in between, and whoever waits for one would take that end for the container's own
failure. So an idle connection is kept beside the calls: the kernel closes it when the engine dies, however
it dies. It is made anew every minute, because engines close idle connections after some minutes too, and an
old one proves nothing. (The engine's own words were tried: nothing that it answers tells when it started,
and its memory of events is a few entries long.)

At a socket that leads to another machine, whatever carries the connection there may break it too. So a closed
one proves something only as long as nothing else was lost, which `projections.engine.door` counts; an engine
at an address that is no socket of this machine is not watched.
"""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path

RENEWED_SECONDS = 60.0
TRUSTED_SECONDS = 180.0  # engines keep an idle connection for five minutes and more


@dataclass(slots=True)
class Tether:
    """One idle connection to the engine at a socket of this machine; safe from several threads."""

    path: Path | None  # None: nothing is watched, and nothing is ever lost
    _held: socket.socket | None = None
    _since: float = 0.0
    _losses: int = 0  # what the door had counted when it began
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def renew(self, *, now: float, losses: int = 0) -> None:
        """The engine has just answered: watch it from now on, if it is not watched already.

        `losses` is what the door counted before it was asked.
        """
        with self._changing:
            if self.path is None or (self._held is not None and now - self._since < RENEWED_SECONDS):
                return
            self._let_go()
            fresh = socket.socket(socket.AF_UNIX)
            fresh.setblocking(False)  # noqa: FBT003  # the standard library's signature
            try:
                fresh.connect(str(self.path))
            except OSError:
                fresh.close()
                return
            self._held, self._since, self._losses = fresh, now, losses

    def lost(self, *, now: float, losses: int = 0) -> bool:
        """Whether the engine went away since it answered; says so once.

        `losses` is what the door counts now: more of them, and the way there is what broke.
        """
        with self._changing:
            if self._held is None or not _closed(self._held):
                return False
            trusted = now - self._since < TRUSTED_SECONDS and losses == self._losses
            self._let_go()
            return trusted

    def drop(self) -> None:
        """Watch no more until the engine answers again."""
        with self._changing:
            self._let_go()

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()


def _closed(held: socket.socket) -> bool:
    """Whether the other side has closed it; nothing is ever sent, so nothing can be there to read."""
    try:
        return held.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
