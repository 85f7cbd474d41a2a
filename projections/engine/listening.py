"""Cutting off an answer that comes bit by bit, from another thread than the one that reads it.

The SDK keeps the response of a build or a push to itself, and a thread that waits for its next bit cannot be
ended. So the client notes each response that it gets in such a thread, and whoever gives up shuts its socket:
the read ends at once, and the engine sees that nobody listens any more.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests


class Listening:
    """The responses that one thread gets while it is inside; `cut` may come from any thread, at any time."""

    def __init__(self) -> None:
        self.cut_off = False
        self._responses: list[requests.Response] = []
        self._changing = threading.Lock()

    def __enter__(self) -> None:
        _HERE.listening = self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _HERE.listening = None
        with self._changing:
            for response in self._responses:
                response.close()  # one that was not read to its end keeps its connection otherwise
            self._responses.clear()

    def note(self, response: requests.Response) -> None:
        """Remember a response; one that comes after the cut is cut too."""
        with self._changing:
            self._responses.append(response)
            if self.cut_off:
                _shut(response)

    def cut(self) -> None:
        """End what is still being read; nothing when all was read."""
        with self._changing:
            self.cut_off = True
            for response in self._responses:
                _shut(response)


class _Here(threading.local):
    listening: Listening | None = None


_HERE = _Here()


def note_response(response: requests.Response) -> None:
    """Tell who listens in this thread, if anybody does, of a response."""
    if _HERE.listening is not None:
        _HERE.listening.note(response)


def _shut(response: requests.Response) -> None:
    """Shut the socket below a response; one that was read to its end has given its connection back."""
    connection: object = getattr(response.raw, "_connection", None)
    found: object = getattr(connection, "sock", None)
    if isinstance(found, socket.socket):
        with contextlib.suppress(OSError):
            found.shutdown(socket.SHUT_RDWR)
