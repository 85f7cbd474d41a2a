"""The engine of a host, at a private socket of this machine.

Whoever speaks Docker opens that socket as it would open the engine's own; each connection becomes one through
the SSH server to the engine's socket. The listener outlives SSH connections, so the address stays the same
when one is made anew. It lies in a folder that nobody else may enter, under a short name: the path of a
socket has room for 107 bytes, and where the given folder is too deep a folder of the system's is taken.

Where the account may not open the engine's socket, or the server forwards none, Docker's own client on the
host carries the bytes (`docker system dial-stdio`), with `sudo -n` if need be. Each such connection is a
session, of which a server gives only some per connection; so these have SSH connections of their own, as many
as it takes.

`open` answers how many SSH connections have ended so far: as long as that number stays, a socket that was
closed was closed by the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shlex
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

import asyncssh

from events.kernel.errors import OutsideError
from events.kernel.redact import REDACT, printable
from projections.transport.port import HostConnection, Ran
from projections.transport.ssh_connection import InBytes, SshConnection
from projections.transport.ssh_loop import SshLoop
from projections.transport.ssh_pump import pump
from projections.transport.ssh_run import Process, open_program, run_program

_CHUNK_BYTES = 64 * 1024
_LONGEST_PATH = 100  # bytes of a socket's path; the kernel has room for 107
_ASK_SECONDS = 20.0
_OPEN_SECONDS = 15.0
_WAITING = 64  # connections that may wait to be taken
_CARRIED = 8  # connections that one SSH connection carries as sessions
_KEPT_BYTES = 4096  # of what a client says when it fails
_NUMBERS = itertools.count(1)
# A process and all that it started, each killed where the kernel says that it belongs to the container.
_END_FAMILY = """
end() {
    for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do end "$child" "$2"; done
    if grep -q "$2" "/proc/$1/cgroup" 2>/dev/null; then kill -9 "$1"; fi
}
end "$1" "$2"
"""

Streams = tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]
_Way = tuple[str, ...]  # the client that carries the bytes; empty: the SSH server does


class _Host(Protocol):
    """What the door passes on to the transport."""

    async def machine(self) -> str: ...

    async def dial(self, address: str, port: int, *, seconds: float) -> HostConnection: ...

    async def run(self, argv: Sequence[str], *, seconds: float) -> Ran: ...


class SshEngineDoor:
    """`EngineDoor` over SSH."""

    def __init__(self, connection: SshConnection, *, loop: SshLoop, transport: _Host, folder: Path) -> None:
        """Nothing is made yet. `connection` belongs into `loop`."""
        self.trouble = ""
        self._connection = connection
        self._loop = loop
        self._transport = transport
        self._number = next(_NUMBERS)
        self._wanted = folder
        self._path: Path | None = None
        self._temporary: Path | None = None
        self._listener: socket.socket | None = None
        self._way: tuple[int, _Way] = (0, ())  # of which connection
        self._carriers: list[_Carrier] = []
        self._carried: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where Docker's tools find the engine: `unix://…`, always the same."""
        return f"unix://{self._socket()}"

    async def open(self) -> int:
        """Make sure that the host answers and the socket is there; how many connections ended so far.

        Raises OutsideError with a code in `HOST_SILENT`.
        """
        return await self._loop.run(self._opened())

    def broken(self) -> OutsideError:
        """See `EngineDoor.broken`."""
        return self._connection.silent("the connection broke while its engine was asked")

    async def machine(self) -> str:
        """See `Transport.machine`."""
        return await self._transport.machine()

    async def end(self, pid: int, container_id: str) -> None:
        """See `EngineDoor.end`; only root may end what belongs to containers."""
        argv = ["sh", "-c", _END_FAMILY, "sh", str(pid), container_id]
        with contextlib.suppress(OutsideError):  # it is not started again as long as it runs
            await self._transport.run(argv, seconds=_ASK_SECONDS)

    async def dial(self, address: str, port: int, *, seconds: float) -> HostConnection:
        """See `Transport.dial`."""
        return await self._transport.dial(address, port, seconds=seconds)

    def close(self) -> None:
        """Listen no more, and take the socket away. It may be opened again."""
        self._loop.finish(self._closed())
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
        self._path = self._temporary = None

    async def _opened(self) -> int:
        await self._connection.get()
        if self._listener is None:
            self._listener = self._listening()
        return self._connection.losses + sum(carrier.connection.losses for carrier in self._carriers)

    async def _closed(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        carried = set(self._carried)
        for one in carried:
            one.cancel()
        if carried:
            await asyncio.wait(carried)
        carriers, self._carriers = self._carriers, []
        for carrier in carriers:
            await carrier.connection.close()

    def _socket(self) -> Path:
        """Its path; the folder is made, private to this account."""
        if self._path is None:
            name = f"{os.getpid()}-{self._number}"
            path = self._wanted.absolute() / name
            if len(os.fsencode(path)) > _LONGEST_PATH:
                self._temporary = Path(tempfile.mkdtemp(prefix="stagecraft-"))
                path = self._temporary / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.chmod(0o700)
            _sweep(path.parent)
            self._path = path
        return self._path

    def _listening(self) -> socket.socket:
        """A listener at the socket's path.

        It is not asyncio's: that one loses a connection that comes in the moment it is closed.
        """
        path = self._socket()
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.setblocking(False)  # noqa: FBT003  # the standard library's signature
            listener.bind(str(path))
            listener.listen(_WAITING)
        except OSError:
            listener.close()
            raise
        asyncio.get_running_loop().add_reader(listener, self._take, listener)
        return listener

    def _take(self, listener: socket.socket) -> None:
        """Take a connection; what it is for is done beside."""
        try:
            taken, _ = listener.accept()
        except OSError:
            return  # it went again
        taken.setblocking(False)  # noqa: FBT003  # the standard library's signature
        task = asyncio.create_task(self._serve(taken))
        self._carried.add(task)
        task.add_done_callback(self._carried.discard)
        task.add_done_callback(lambda _: taken.close())  # also where it never began

    async def _serve(self, taken: socket.socket) -> None:
        """One connection, from its beginning to its end."""
        reader, writer = await asyncio.open_unix_connection(sock=taken)
        try:
            await self._carry(reader, writer)
        except (OSError, asyncssh.Error, OutsideError) as error:
            self._failed(error)
        finally:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        straight = await self._straight_or_not()
        if straight is None:
            if self._way[0] == self._connection.made:
                await self._carry_as_session(self._way[1], reader, writer)
            return
        self.trouble = ""
        far_reader, far_writer = straight
        try:
            await pump(reader, writer, far_reader, far_writer)
        finally:
            far_writer.channel.abort()

    async def _straight_or_not(self) -> Streams | None:
        """A connection to the engine's socket; None where another way is the one, or there is none."""
        if self._way[0] == self._connection.made and self._way[1]:
            return None
        try:
            return await self._straight()
        except asyncssh.ChannelOpenError as error:
            way = await self._other_way(error)
            if not way:
                return None
        try:
            return await self._straight()  # the engine may have come back meanwhile
        except asyncssh.ChannelOpenError:
            self._way = (self._connection.made, way)
            return None

    async def _straight(self) -> Streams:
        async with asyncio.timeout(_OPEN_SECONDS):
            connection = cast("InBytes", await self._connection.get())
            place = str(self._connection.settings.engine_socket)
            return await connection.open_unix_connection(place, encoding=None)

    async def _other_way(self, error: asyncssh.ChannelOpenError) -> _Way:
        """Docker's client on the host where it can ask the engine; empty, with the trouble, where not."""
        words: list[str] = []
        for way in (("docker",), ("sudo", "-n", "docker")):
            client = (*way, "-H", f"unix://{self._connection.settings.engine_socket}")
            argv = [*client, "version", "--format", "{{.Server.Version}}"]
            ran = await run_program(self._connection, argv, seconds=_ASK_SECONDS, stdin=b"", most=_KEPT_BYTES)
            if ran.code == 0:
                return client
            words.append(_one_line(ran.stderr) or f"{' '.join(way)} ended with {ran.code}")
        self.trouble = f"{error.reason}; {'; '.join(dict.fromkeys(words))}"
        return ()

    async def _carry_as_session(
        self, way: _Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        carrier = self._carrier()
        carrier.carried += 1
        try:
            process = await open_program(carrier.connection, shlex.join([*way, "system", "dial-stdio"]))
            try:
                self.trouble = ""
                said = asyncio.ensure_future(_said(process))
                await pump(reader, writer, process.stdout, process.stdin)
                if process.exit_status:
                    self.trouble = _one_line(await said)
                said.cancel()
            finally:
                process.close()
        finally:
            carrier.carried -= 1

    def _carrier(self) -> _Carrier:
        for carrier in self._carriers:
            if carrier.carried < _CARRIED:
                return carrier
        settings = self._connection.settings
        self._carriers.append(_Carrier(SshConnection(self._connection.host, settings, on_first_key=None)))
        return self._carriers[-1]

    def _failed(self, error: Exception) -> None:
        words = error.why or error.message if isinstance(error, OutsideError) else str(error)
        self.trouble = REDACT(printable(words)).replace("\n", " ")


class _Carrier:
    """An SSH connection for connections that are sessions."""

    def __init__(self, connection: SshConnection) -> None:
        self.connection = connection
        self.carried = 0


async def _said(process: Process) -> bytes:
    return await process.stderr.read(_KEPT_BYTES)


def _one_line(text: bytes) -> str:
    return REDACT(printable(text.decode(errors="replace"))).strip().replace("\n", " ")


def _sweep(folder: Path) -> None:
    """Take away the sockets of processes that have ended; their names begin with the process's id."""
    for path in folder.iterdir():
        number = path.name.partition("-")[0]
        if number.isdecimal() and not Path(f"/proc/{number}").exists():
            path.unlink(missing_ok=True)
