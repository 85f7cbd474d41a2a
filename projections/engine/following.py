"""A container's log as lines that come as they are written.

The engine's client blocks, so a thread of its own reads, one for each log: the bounded threads of other
calls stay free however many logs are followed. What is read ahead is bounded too; when the reader is slow
the thread waits, and with it the container's engine. Whoever stops reading ends the thread by closing the
stream under it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Protocol

from events.kernel.redact import REDACT, printable
from projections.engine.port import Container

LINE_LIMIT_BYTES = 16 * 1024  # a longer line is shown in pieces
_READ_AHEAD_CHUNKS = 64


class LogSource(Protocol):
    """An engine as far as reading logs needs it; apart from `Engine`, because no converger follows a log."""

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        """As `Engine.containers`."""
        ...

    def follow_logs(
        self, container_id: str, *, tail: int | None = None, since: float | None = None, follow: bool = True
    ) -> AsyncGenerator[str]:
        """Lines of both streams, printable, credentials masked; with `follow` until the container ends.

        `tail` None: all there are; `since` in seconds of the epoch. Nothing when the container is gone.
        Raises OutsideError `engine-unreachable` and `engine-refused`.
        """
        ...


class ByteStream(Protocol):
    """Pieces of bytes as they arrive; closing it ends the iteration, from any thread."""

    def __iter__(self) -> Iterator[bytes]:
        """The pieces."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class LogApi(Protocol):
    """`docker.APIClient`, as far as a log is read as it comes."""

    def logs(
        self,
        container: str,
        *,
        stdout: bool,
        stderr: bool,
        stream: bool,
        follow: bool,
        tail: int | str,
        since: float | None,
    ) -> ByteStream:
        """`GET /containers/<id>/logs`; `since` in seconds of the epoch, `tail` a number or `all`."""
        ...


def split_lines(pieces: Iterator[bytes]) -> Iterator[list[str]]:
    """The complete lines of each piece, safe to show; the last one also without its line end."""
    rest = b""
    for piece in pieces:
        *complete, rest = (rest + piece).split(b"\n")
        while len(rest) > LINE_LIMIT_BYTES:
            complete, rest = [*complete, rest[:LINE_LIMIT_BYTES]], rest[LINE_LIMIT_BYTES:]
        if complete:
            yield [_shown(line) for line in complete]
    if rest:
        yield [_shown(rest)]


def _shown(line: bytes) -> str:
    text = printable(line.decode(errors="replace")).replace("\n", " ")
    return REDACT(text).rstrip()


class _Pump:
    """Carries lines from the thread that reads to the loop that shows them."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[list[str] | BaseException | None] = asyncio.Queue()
        self._room = threading.Semaphore(_READ_AHEAD_CHUNKS)
        self._gone = False

    def start(self) -> None:
        threading.Thread(target=self._read, name="engine-log", daemon=True).start()

    async def next(self) -> list[str] | None:
        """The lines of the next piece, None at the end. Raises what reading raised."""
        found = await self._lines.get()
        self._room.release()
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """End the thread; it may be reading, or waiting for room."""
        self._gone = True
        self._room.release()
        with contextlib.suppress(OSError, AttributeError):  # the client's stream has ended already
            self._stream.close()

    def _read(self) -> None:
        end: BaseException | None = None
        try:
            for lines in split_lines(iter(self._stream)):
                self._room.acquire()
                if self._gone:
                    return
                self._hand_over(lines)
        except Exception as error:  # noqa: BLE001  # it is raised where the lines are read
            end = error
        self._hand_over(end)

    def _hand_over(self, item: list[str] | BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._lines.put_nowait, item)


async def lines_of(stream: ByteStream) -> AsyncGenerator[str]:
    """The lines of an open stream until it ends; closes it. Raises what reading raises."""
    pump = _Pump(stream)
    pump.start()
    try:
        while (lines := await pump.next()) is not None:
            for line in lines:
                yield line
    finally:
        pump.close()
