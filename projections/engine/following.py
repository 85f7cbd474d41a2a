"""A container's log as lines that come as they are written, each with the time that the engine gave it.

The engine's client blocks, so a thread of its own reads, one for each log: the bounded threads of other
calls stay free however many logs are followed. What is read ahead is bounded too; when the reader is slow
the thread waits, and with it the container's engine. Whoever stops reading ends the thread by closing the
stream under it.

Engines give each record its time, and split a line of more than 16 KiB into records: so does this module,
whether or not the engine did. A line that an engine gives no time counts as written with the one before.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from events.kernel.redact import REDACT, printable
from projections.engine.port import Container

LINE_LIMIT_BYTES = 16 * 1024  # a longer line is shown in pieces
NANOSECONDS = 1_000_000_000  # of a second
_READ_AHEAD_CHUNKS = 64
_REST_LIMIT_BYTES = 2 * LINE_LIMIT_BYTES  # of a line whose end has not come yet
_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of a container's log."""

    at: int  # nanoseconds of the epoch, by the clock of the engine's machine
    text: str  # printable, credentials masked
    whole: bool = True  # False: its end had not come when the log ended


class LogSource(Protocol):
    """An engine as far as reading logs needs it; apart from `Engine`, because no converger follows a log."""

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        """As `Engine.containers`."""
        ...

    def follow_logs(
        self,
        container_id: str,
        *,
        tail: int | None = None,
        since: float | None = None,
        until: float | None = None,
        follow: bool = True,
    ) -> AsyncGenerator[LogLine]:
        """Lines of both streams; with `follow` until the container ends, or the connection to the engine.

        `tail` None: all there are; `since` and `until` in seconds of the epoch, and the engine may take them
        less exactly than its lines have them. Nothing when the container is gone. Raises OutsideError
        `engine-unreachable` and `engine-refused`.
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

    def logs(  # noqa: PLR0913  # the SDK's call has as many
        self,
        container: str,
        *,
        stdout: bool,
        stderr: bool,
        stream: bool,
        follow: bool,
        tail: int | str,
        since: float | None,
        until: float | None,
        timestamps: bool,
    ) -> ByteStream:
        """`GET /containers/<id>/logs`; times in seconds of the epoch, `tail` a number or `all`."""
        ...


def split_lines(pieces: Iterator[bytes]) -> Iterator[list[LogLine]]:
    """The complete lines of each piece, safe to show; the last one also without its line end."""
    cutter = _Cutter()
    for piece in pieces:
        if lines := cutter.take(piece):
            yield lines
    if lines := cutter.end():
        yield lines


class _Cutter:
    """Cuts what an engine sends into lines and takes their times off."""

    def __init__(self) -> None:
        self._rest = b""
        self._at = 0

    def take(self, piece: bytes) -> list[LogLine]:
        """The lines that end in this piece."""
        *complete, self._rest = (self._rest + piece).split(b"\n")
        lines = [line for one in complete for line in self._records(one)]
        if len(self._rest) > _REST_LIMIT_BYTES:
            lines += self._records(self._rest)
            self._rest = b""
        return lines

    def end(self) -> list[LogLine]:
        """What came without a line end."""
        if not self._rest:
            return []
        *lines, last = self._records(self._rest)
        return [*lines, replace(last, whole=False)]

    def _records(self, line: bytes) -> list[LogLine]:
        """A line as one record, or several of `LINE_LIMIT_BYTES`; each may begin with its time."""
        found: list[LogLine] = []
        while line or not found:
            if stamp := _STAMP.match(line):
                self._at, line = _nanoseconds(stamp), line[stamp.end() :]
            found.append(LogLine(at=self._at, text=_shown(line[:LINE_LIMIT_BYTES])))
            line = line[LINE_LIMIT_BYTES:]
        return found


def _nanoseconds(stamp: re.Match[bytes]) -> int:
    seconds, fraction, zone = stamp.groups()
    return _epoch(seconds + zone) * NANOSECONDS + int((fraction or b"").ljust(9, b"0"))


@lru_cache(maxsize=64)
def _epoch(second: bytes) -> int:
    """Seconds of the epoch; many lines share one."""
    return int(datetime.fromisoformat(second.decode()).timestamp())


def _shown(line: bytes) -> str:
    text = printable(line.decode(errors="replace")).replace("\n", " ")
    return REDACT(text).rstrip()


class _Pump:
    """Carries lines from the thread that reads to the loop that shows them."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[list[LogLine] | BaseException | None] = asyncio.Queue()
        self._room = threading.Semaphore(_READ_AHEAD_CHUNKS)
        self._gone = False

    def start(self) -> None:
        threading.Thread(target=self._read, name="engine-log", daemon=True).start()

    async def next(self) -> list[LogLine] | None:
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

    def _hand_over(self, item: list[LogLine] | BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._lines.put_nowait, item)


async def lines_of(stream: ByteStream) -> AsyncGenerator[LogLine]:
    """The lines of an open stream until it ends; closes it. Raises what reading raises."""
    pump = _Pump(stream)
    pump.start()
    try:
        while (lines := await pump.next()) is not None:
            for line in lines:
                yield line
    finally:
        pump.close()
