"""A program on a host, run to its end.

An SSH server takes a line for the account's login shell, so each argument is quoted for it as POSIX shells
read it, and arrives as it is. To end a program at its deadline cannot be left to the server: OpenSSH passes
no signal on to a program of root's, and a connection may be lost before. So `timeout` of the host is started
with it, where there is one, for a little longer than it is waited for here. (One shell kept open for all
commands was dropped: it saves a login shell's start, and a program that hangs, or prints what ends the
protocol, would take all others with it.)
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import shlex
import signal
from collections.abc import Sequence

import asyncssh

from events.kernel.errors import OutsideError, Where
from events.kernel.process import PROCESS_TIMED_OUT
from events.kernel.redact import REDACT, printable
from projections.transport.port import Ran
from projections.transport.ssh_connection import SshConnection

_CHUNK_BYTES = 64 * 1024
_OPEN_SECONDS = 30.0  # for the session, before the program's own time begins
_TRIES = 5
_TRY_SECONDS = 0.2
_BY_SIGNAL = 128
_BOUNDED = 'command -v timeout >/dev/null 2>&1 && exec timeout -k 5 "$0" "$@"; exec "$@"'
_SHOWN = 200  # characters of a command in an error

Process = asyncssh.SSHClientProcess[bytes]


async def run_program(
    connection: SshConnection, argv: Sequence[str], *, seconds: float, stdin: bytes, most: int
) -> Ran:
    """See `Transport.run`."""
    async with connection.session():
        bounded = ["sh", "-c", _BOUNDED, str(math.ceil(seconds) + 1), *argv]
        process = await open_program(connection, shlex.join(bounded))
        try:
            async with asyncio.timeout(seconds):
                _, stdout, stderr = await asyncio.gather(
                    _feed(process, stdin), _kept(process.stdout, most), _kept(process.stderr, most)
                )
                await process.wait_closed()
        except TimeoutError as error:
            raise _timed_out(connection, argv, seconds) from error
        except (OSError, asyncssh.Error) as error:
            raise connection.silent(f"the connection broke while {argv[0]} ran: {error}") from error
        finally:
            _end(process)
    if process.exit_status is None and process.exit_signal is None:
        raise connection.silent(f"the connection broke while {argv[0]} ran")
    return Ran(code=_code(process), stdout=stdout, stderr=stderr)


async def open_program(connection: SshConnection, command: str) -> Process:
    """A program that was started by a line for the login shell, with its streams.

    Raises OutsideError `host-session-refused`, or with a code in `HOST_SILENT`.
    """

    async def start(opened: asyncssh.SSHClientConnection) -> Process:
        return await opened.create_process(command, encoding=None, request_pty=False)

    for _ in range(_TRIES - 1):
        with contextlib.suppress(asyncssh.ChannelOpenError):  # others of ours may hold all that there are
            return await connection.use(start, seconds=_OPEN_SECONDS, again=True)
        await asyncio.sleep(_TRY_SECONDS)
    try:
        return await connection.use(start, seconds=_OPEN_SECONDS, again=True)
    except asyncssh.ChannelOpenError as error:
        raise connection.refused_session(error) from error


async def _feed(process: Process, stdin: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionError):  # it ended, or does not want to hear more
        process.stdin.write(stdin)
        await process.stdin.drain()
        process.stdin.write_eof()


async def _kept(stream: asyncssh.SSHReader[bytes], most: int) -> bytes:
    """The beginning of what is written; the rest is taken and thrown away, so that nothing waits for it."""
    kept = bytearray()
    while chunk := await stream.read(_CHUNK_BYTES):
        kept += chunk[: max(0, most - len(kept))]
    return bytes(kept)


def _end(process: Process) -> None:
    """End it where it still runs, and the session with it."""
    if process.exit_status is None and process.exit_signal is None:
        with contextlib.suppress(OSError, asyncssh.Error):
            process.kill()
    process.close()


def _code(process: Process) -> int:
    if process.exit_signal is None:
        return process.exit_status or 0
    name = process.exit_signal[0]
    number = getattr(signal, f"SIG{name}", None)
    return _BY_SIGNAL + (int(number) if isinstance(number, signal.Signals) else 0)


def _timed_out(connection: SshConnection, argv: Sequence[str], seconds: float) -> OutsideError:
    shown = REDACT(printable(shlex.join(argv)))
    return OutsideError(
        PROCESS_TIMED_OUT,
        f"{argv[0]} was stopped after {seconds:g} s",
        where=Where(host=connection.host),
        why=f"it ran as: {shown if len(shown) <= _SHOWN else f'{shown[:_SHOWN]}…'}",
        next=f"try it by hand: `{connection.settings.login.command}`",
    )
