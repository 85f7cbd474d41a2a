"""Programs in containers of one Docker engine, over the connection that the engine turns into their streams.

The SDK hands out that connection as it is. Its HTTP client may have read the first bytes of the program
together with the head of the answer, so reading goes through the client's buffer and writing to the socket
below it. The connection blocks: a thread of its own reads ahead, bounded, and other threads write.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, cast

from events.kernel.errors import OutsideError, error_code
from projections.engine.api import Answer, DockerApi
from projections.engine.docker_connection import DockerConnection
from projections.engine.errors import engine_refused, engine_unreachable
from projections.engine.programs import WindowSize, Written

PROGRAM_RUNS_ON = error_code(
    "program-runs-on", "A program in a container closed its streams and had not ended after a while."
)

_CHUNK_BYTES = 32 * 1024
_READ_AHEAD_CHUNKS = 64
_FRAME_HEAD_BYTES = 8
_STDERR = 2  # the first byte of a frame's head
_END_SECONDS = 10.0  # between a program's last word and its end
_LOOK_SECONDS = 0.02


class _Buffer(Protocol):
    """`io.BufferedReader`, as far as it is used."""

    def read1(self, size: int, /) -> bytes:
        """What there is, at most `size` bytes; empty at the end."""
        ...


class _ProgramApi(Protocol):
    """`docker.APIClient`, as far as programs are concerned."""

    def exec_create(self, container: str, cmd: Sequence[str], *, stdin: bool, tty: bool) -> Answer:
        """`POST /containers/<id>/exec`."""
        ...

    def exec_start(self, exec_id: str, *, tty: bool, socket: bool) -> object:
        """`POST /exec/<id>/start`, answered by the connection itself."""
        ...

    def exec_resize(self, exec_id: str, *, height: int, width: int) -> None:
        """`POST /exec/<id>/resize`."""
        ...


class DockerPrograms:
    """Starts programs in containers of one engine."""

    def __init__(self, connection: DockerConnection) -> None:
        """The connection is somebody else's to close."""
        self._connection = connection

    async def run(
        self, container_id: str, argv: Sequence[str], *, terminal: WindowSize | None
    ) -> DockerProgram:
        """See `ProgramSource.run_program`."""
        what = f"run {argv[0]} in {container_id[:12]}"
        tty = terminal is not None

        def start(api: DockerApi) -> tuple[str, object]:
            programs = cast("_ProgramApi", api)
            made = str(programs.exec_create(container_id, list(argv), stdin=True, tty=tty)["Id"])
            return made, programs.exec_start(made, tty=tty, socket=True)

        started = await self._connection.find(what, start)
        if started is None:
            raise engine_refused(what, "the container is gone")
        program = DockerProgram(self._connection, *started, framed=not tty)
        if terminal is not None:
            await program.resize(terminal)
        return program


class DockerProgram:
    """One program, `RunningProgram` by its methods; used from the loop it was made in."""

    def __init__(self, connection: DockerConnection, program: str, stream: object, *, framed: bool) -> None:
        """`stream` is what the SDK answers; `framed` tells the two streams apart."""
        self._connection = connection
        self._program = program
        self._response: Any = getattr(stream, "_response")  # noqa: B009  # the SDK keeps it there
        self._buffer: _Buffer = self._response.raw._fp.fp  # noqa: SLF001  # likewise
        self._socket: socket.socket = self._response.raw._fp.fp.raw._sock  # noqa: SLF001  # likewise
        self._socket.settimeout(None)  # a program may be silent for as long as it likes
        self._framed = framed
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[Written | Exception | None] = asyncio.Queue()
        self._room = threading.Semaphore(_READ_AHEAD_CHUNKS)
        self._gone = False
        threading.Thread(target=self._listen, name="engine-program", daemon=True).start()

    async def read(self) -> Written | None:
        """What it wrote next, None when it writes no more."""
        found = await self._arrived.get()
        self._room.release()
        if isinstance(found, Exception):
            raise engine_unreachable(self._connection.address.url, str(found)) from found
        return found

    async def write(self, content: bytes) -> None:
        """Give it input; nothing happens when it takes none any more."""
        with contextlib.suppress(OSError):  # it has ended, or the connection: reading tells
            await asyncio.to_thread(self._socket.sendall, content)

    async def end_input(self) -> None:
        """Let it read the end of its input; over TLS a connection can only be ended as a whole."""
        if not isinstance(self._socket, ssl.SSLSocket):
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    async def resize(self, size: WindowSize) -> None:
        """Tell it of another size of its terminal; one that has ended needs none."""

        def tell(api: DockerApi) -> None:
            cast("_ProgramApi", api).exec_resize(self._program, height=size.rows, width=size.columns)

        with contextlib.suppress(OutsideError):
            await self._connection.find("resize a terminal", tell)

    async def exit_code(self) -> int:
        """How it ended, once it writes no more."""
        deadline = time.monotonic() + _END_SECONDS
        while True:
            state = await self._connection.call(
                "show how a program ended", lambda api: api.exec_inspect(self._program)
            )
            if not state.get("Running"):
                return int(state.get("ExitCode") or 0)
            if time.monotonic() > deadline:
                raise OutsideError(
                    PROGRAM_RUNS_ON,
                    f"the program writes no more and had not ended after {_END_SECONDS:g} s",
                    why="it closed its streams, or the connection to the engine broke",
                    next="look at what runs there: `docker top CONTAINER`",
                )
            await asyncio.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        """Cut the streams; the program may run on."""
        self._gone = True
        self._room.release()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        end: Exception | None = None
        try:
            for written in self._pieces():
                self._room.acquire()
                if self._gone:
                    break
                self._hand_over(written)
        except Exception as error:  # noqa: BLE001  # it is raised where the streams are read
            end = error
        self._hand_over(end)
        with contextlib.suppress(Exception):
            self._response.close()

    def _pieces(self) -> Iterator[Written]:
        if self._framed:
            yield from frames(self._buffer)
            return
        while chunk := self._buffer.read1(_CHUNK_BYTES):
            yield Written(content=chunk)

    def _hand_over(self, item: Written | Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, item)


def frames(buffer: _Buffer) -> Iterator[Written]:
    """What stands in frames: one byte for the stream, three zeros, the length, the content."""
    while head := _exactly(buffer, _FRAME_HEAD_BYTES):
        left = int.from_bytes(head[4:], "big")
        while left and (chunk := buffer.read1(min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            yield Written(content=chunk, error=head[0] == _STDERR)


def _exactly(buffer: _Buffer, count: int) -> bytes:
    """So many bytes, or nothing when the stream ends before."""
    found = b""
    while len(found) < count:
        if not (chunk := buffer.read1(count - len(found))):
            return b""
        found += chunk
    return found
