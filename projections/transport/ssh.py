"""A host that is reached over SSH, `Transport` by its methods: one connection, kept, for all that is asked.

Nothing of ours runs there. Commands go to the account's login shell, files over SFTP, connections through
the SSH server, and the engine's socket through `ssh_door`. Every call is done in the thread of `SshLoop` and
waited for in the caller's own loop.

`open` costs nothing while the connection stands: that the host still answers is what its keep-alive says, and
a host that fell silent counts as lost after some fifteen seconds.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar, cast

import asyncssh

from events.kernel.errors import OutsideError, Where
from projections.transport.local_ports import TABLES, bound_in
from projections.transport.port import HOST_PORT_HELD, BoundPort, HostConnection, Ran
from projections.transport.ssh_connection import InBytes, SshConnection
from projections.transport.ssh_door import SshEngineDoor
from projections.transport.ssh_files import SshFiles
from projections.transport.ssh_loop import SshLoop
from projections.transport.ssh_run import run_program
from projections.transport.ssh_settings import SshSettings
from projections.transport.ssh_trust import OnFirstKey

_MACHINE_ID = PurePosixPath("/etc/machine-id")
_MACHINE_ID_BYTES = 256
_PORTS_SECONDS = 30.0
_PORTS_BYTES = 16 << 20  # a line has 150 bytes
_OFFER_SECONDS = 15.0
_OFFER_AGAIN_SECONDS = 1.0  # for a port that a session of ours held, which has just ended
_LOOPBACK = "127.0.0.1"
_DIALLED = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT)

T = TypeVar("T")


class SshTransport:
    """`Transport` over SSH."""

    def __init__(
        self, host: str, settings: SshSettings, *, loop: SshLoop, on_first_key: OnFirstKey | None = None
    ) -> None:
        """No connection is made yet. The loop is somebody else's to close, after this."""
        self._host = host
        self._settings = settings
        self._loop = loop
        self._connection = SshConnection(host, settings, on_first_key=on_first_key)
        self._files = SshFiles(loop, self._connection)
        self._machine: tuple[int, str] = (0, "")  # of which connection
        self._offered: dict[int, tuple[int, str, int]] = {}  # port there: connection, host and port here

    @property
    def host(self) -> str:
        """The host's name in the registry."""
        return self._host

    @property
    def files(self) -> SshFiles:
        """Its files."""
        return self._files

    @property
    def here(self) -> bool:
        """Whether it is this machine: never, even where the address leads back."""
        return False

    @property
    def connections_made(self) -> int:
        """How many connections were made so far; one, as long as none broke."""
        return self._connection.made

    def engine_door(self, folder: Path) -> SshEngineDoor:
        """The way to its engine; the local socket lies in `folder`, or beside other short-lived files."""
        return SshEngineDoor(self._connection, loop=self._loop, transport=self, folder=folder)

    async def open(self) -> None:
        """See `Transport.open`."""

        async def get() -> None:
            await self._connection.get()

        await self._loop.run(get())

    async def run(
        self, argv: Sequence[str], *, seconds: float, stdin: bytes = b"", most: int = 1 << 20
    ) -> Ran:
        """See `Transport.run`."""
        return await self._loop.run(
            run_program(self._connection, argv, seconds=seconds, stdin=stdin, most=most)
        )

    async def dial(self, address: str, port: int, *, seconds: float) -> HostConnection:
        """See `Transport.dial`."""

        async def connect() -> HostConnection:
            connection = await self._connection.get()
            try:
                async with asyncio.timeout(seconds):
                    opening = cast("InBytes", connection).open_connection(address, port, encoding=None)
                    reader, writer = await opening
            except (asyncssh.Error, ConnectionError) as error:
                if isinstance(error, asyncssh.ChannelOpenError) and not connection.is_closed():
                    raise _not_taken(error) from error
                raise self._connection.silent(f"the connection broke: {error}") from error
            return _Stream(self._loop, reader, writer)

        return await self._loop.run(connect())

    async def bound_ports(self) -> frozenset[BoundPort]:
        """See `Transport.bound_ports`; ports that only a rule of the packet filter has are not seen."""
        tables = [f"/proc/net/{name}" for name in TABLES]
        ran = await self.run(["grep", "-H", ":", *tables], seconds=_PORTS_SECONDS, most=_PORTS_BYTES)
        return frozenset(_bound(ran.stdout.decode(errors="replace").splitlines()))

    async def machine(self) -> str:
        """See `Transport.machine`; asked once a connection."""
        if self._machine[0] != self._connection.made or not self._connection.made:
            content = await self._files.read(_MACHINE_ID, most=_MACHINE_ID_BYTES)
            self._machine = (self._connection.made, (content or b"").decode(errors="replace").strip())
        return self._machine[1]

    async def offer_port(self, port: int) -> None:
        """See `Transport.offer_port`."""
        await self.offer_registry(port, host=_LOOPBACK, to=port)

    async def offer_registry(self, port: int, *, host: str, to: int) -> None:
        """Let the host reach `host`:`to`, as seen from here, at its own 127.0.0.1:`port`.

        It lasts as long as the connection; to call it again is cheap and makes it last. Raises OutsideError
        `host-port-held`, or with a code in `HOST_SILENT`.
        """
        await self._loop.run(self._offer(port, host, to))

    def close(self) -> None:
        """See `Transport.close`."""
        self._offered.clear()
        self._loop.finish(self._connection.close())

    async def _offer(self, port: int, host: str, to: int) -> None:
        await self._connection.get()
        if self._offered.get(port) == (self._connection.made, host, to):
            return

        async def listen(connection: asyncssh.SSHClientConnection) -> None:
            try:
                await connection.forward_remote_port(_LOOPBACK, port, host, to)
            except asyncssh.ChannelListenError:
                await asyncio.sleep(_OFFER_AGAIN_SECONDS)
                await connection.forward_remote_port(_LOOPBACK, port, host, to)

        try:
            await self._connection.use(listen, seconds=_OFFER_SECONDS, again=True)
        except asyncssh.ChannelListenError as error:
            raise OutsideError(
                HOST_PORT_HELD,
                f"port {port} of the host cannot be given to the registry",
                where=Where(host=self._host),
                why=str(error),
                next=f"see who holds it there: `ss -ltnp 'sport = :{port}'`, and that `AllowTcpForwarding` "
                "of its SSH server is not off",
            ) from error
        self._offered[port] = (self._connection.made, host, to)


class _Stream:
    """A connection that begins at the host, used from another loop than its own."""

    def __init__(
        self, loop: SshLoop, reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]
    ) -> None:
        self._loop = loop
        self._reader = reader
        self._writer = writer

    async def read(self, most: int) -> bytes:
        """See `HostConnection.read`."""
        return await self._loop.run(_as_the_system_says(lambda: self._reader.read(most)))

    async def write(self, content: bytes) -> None:
        """See `HostConnection.write`."""

        async def send() -> None:
            self._writer.write(content)
            await self._writer.drain()

        await self._loop.run(_as_the_system_says(send))

    def close(self) -> None:
        """See `HostConnection.close`."""
        self._loop.soon(self._writer.channel.abort)


async def _as_the_system_says(work: Callable[[], Awaitable[T]]) -> T:
    try:
        return await work()
    except asyncssh.Error as error:
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from error


def _bound(lines: Iterable[str]) -> Iterator[BoundPort]:
    """The ports in lines of the kernel's tables, each after its table's path and a colon."""
    for line in lines:
        path, _, row = line.partition(":")
        protocol = TABLES.get(path.rpartition("/")[2])
        if protocol is not None:
            yield from bound_in([row], protocol=protocol)


def _not_taken(error: asyncssh.ChannelOpenError) -> OSError:
    """The host's words for why nobody took a connection, as the system's where they are those."""
    for number in _DIALLED:
        if os.strerror(number).lower() in error.reason.lower():
            return OSError(number, os.strerror(number))
    return ConnectionRefusedError(error.reason)
