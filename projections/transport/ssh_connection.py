"""One connection to one host, kept, and made anew when it is needed and gone.

All of it runs in the thread of `SshLoop`. Those who ask at the same time wait for one attempt together. A
host that says nothing for some seconds is asked for a sign of life, and after `_KEEPALIVES` of them without
an answer the connection counts as lost: whoever waits on it is told then, however long its own deadline is.
What a lost connection means, and what a login that failed means, is said here in one place.

An SSH server bounds the sessions of a connection (OpenSSH: ten), so no more than `_SESSIONS` are open at a
time, and others wait. Forwarded connections are no sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol, TypeVar

import asyncssh

from events.kernel.errors import OutsideError, Where, error_code
from events.kernel.redact import REDACT, printable
from projections.transport.port import HOST_LOGIN_REFUSED, HOST_UNREACHABLE
from projections.transport.ssh_settings import SshLogin, SshSettings
from projections.transport.ssh_trust import HostTrust, OnFirstKey

HOST_SESSION_REFUSED = error_code(
    "host-session-refused", "A host's SSH server lets us log in, and opens no session to work in."
)

_KEEPALIVES = 3
_SESSIONS = 7  # one more is for files, and two are left to the operator's `MaxSessions`
_CLOSE_SECONDS = 2.0

T = TypeVar("T")


class InBytes(Protocol):
    """Connections through an SSH server, as asyncssh makes them where nothing is to be decoded."""

    async def open_connection(
        self, host: str, port: int, *, encoding: None
    ) -> tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]:
        """One to an address that the server reaches."""
        ...

    async def open_unix_connection(
        self, path: str, *, encoding: None
    ) -> tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]:
        """One to a socket of the server's machine."""
        ...


class SshConnection:
    """The way to one host; every method belongs into the thread of `SshLoop`."""

    def __init__(self, host: str, settings: SshSettings, *, on_first_key: OnFirstKey | None) -> None:
        """Nothing is connected yet."""
        self.host = host
        self.settings = settings
        self.losses = 0  # how many connections ended, whoever ended them
        self.made = 0  # how many were made
        self._on_first_key = on_first_key
        self._connection: asyncssh.SSHClientConnection | None = None
        self._making: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self._sessions = asyncio.Semaphore(_SESSIONS)

    async def get(self) -> asyncssh.SSHClientConnection:
        """The connection. Raises OutsideError with a code in `HOST_SILENT`."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        if self._making is None:
            self._making = asyncio.create_task(self._made(), name=f"connect {self.host}")
            self._making.add_done_callback(self._attempted)
        return await asyncio.shield(self._making)

    async def use(
        self,
        act: Callable[[asyncssh.SSHClientConnection], Awaitable[T]],
        *,
        seconds: float,
        again: bool = False,
    ) -> T:
        """What `act` answers, within `seconds`, beside the time to connect.

        With `again` it is done once more on a new connection when the one that it began with turns out to be
        broken. Raises OutsideError with a code in `HOST_SILENT`.
        """
        connection = await self.get()
        try:
            return await self._in_time(act(connection), seconds)
        except (asyncssh.Error, OSError) as error:
            if not _lost(error, connection):
                raise
            if not again:
                raise self._broken(error) from error
        connection = await self.get()
        try:
            return await self._in_time(act(connection), seconds)
        except (asyncssh.Error, OSError) as error:
            if not _lost(error, connection):
                raise
            raise self._broken(error) from error

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        """The right to one session; waits until one is free."""
        async with self._sessions:
            yield

    def refused_session(self, error: asyncssh.ChannelOpenError) -> OutsideError:
        """The error for a server that opens none."""
        return OutsideError(
            HOST_SESSION_REFUSED,
            f"{self.settings.login} opens no session",
            where=Where(host=self.host),
            why=_words(error),
            next="see `MaxSessions`, `ForceCommand` and the account's shell on that host",
        )

    def silent(self, why: str) -> OutsideError:
        """The error for a host that cannot be asked."""
        return _unreachable(self.host, self.settings.login, why)

    async def close(self) -> None:
        """Take leave, in some seconds at most."""
        if self._making is not None:
            self._making.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await connection.wait_closed()
            except TimeoutError:
                connection.abort()

    async def _in_time(self, work: Awaitable[T], seconds: float) -> T:
        """The result, or an error at the deadline, however long the work takes to let go."""
        task = asyncio.ensure_future(work)
        task.add_done_callback(_heard)
        try:
            await asyncio.wait({task}, timeout=seconds)
        finally:
            if not task.done():
                task.cancel()
        if not task.done():
            raise self.silent(f"it takes connections and did not answer within {seconds:g} s")
        return await task

    def _attempted(self, attempt: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
        self._making = None
        _heard(attempt)

    async def _made(self) -> asyncssh.SSHClientConnection:
        settings = self.settings
        try:
            async with asyncio.timeout(settings.connect_seconds), contextlib.AsyncExitStack() as undo:
                tunnel: asyncssh.SSHClientConnection | None = None
                if settings.jump is not None:
                    tunnel = await self._logged_in(settings.jump, tunnel=None)
                    undo.callback(tunnel.abort)
                self._connection = await self._logged_in(settings.login, tunnel=tunnel)
                self._connection.set_tunnel(tunnel)  # to be closed with it
                undo.pop_all()
        except TimeoutError as error:
            raise self.silent(f"no login within {settings.connect_seconds:g} s") from error
        self.made += 1
        return self._connection

    async def _logged_in(
        self, login: SshLogin, *, tunnel: asyncssh.SSHClientConnection | None
    ) -> asyncssh.SSHClientConnection:
        settings = self.settings
        trust = HostTrust(
            self.host,
            login,
            file=settings.known_hosts,
            keys=settings.host_keys,
            on_first_key=self._on_first_key if login is settings.login else None,
        )
        try:
            connection, _ = await asyncssh.create_connection(
                lambda: _Client(trust, self._lost),
                login.address,
                login.port,
                tunnel=tunnel,
                config=None,
                known_hosts=trust.known,
                server_host_key_algs=list(trust.algorithms()) or (),
                username=login.user,
                client_keys=[str(path) for path in settings.identity_files] or (),
                agent_path=settings.agent,
                preferred_auth=("publickey",),
                x509_trusted_certs=None,
                keepalive_interval=settings.alive_seconds,
                keepalive_count_max=_KEEPALIVES,
            )
        except asyncssh.HostKeyNotVerifiable as error:
            raise trust.refusal or trust.not_vouched(str(error)) from error
        except asyncssh.PermissionDenied as error:
            raise self._refused(login, _words(error)) from error
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, FileNotFoundError) as error:
            raise self._refused(login, f"a key file cannot be used: {_words(error)}") from error
        except TimeoutError:
            raise
        except (OSError, asyncssh.Error) as error:
            raise _unreachable(self.host, login, _words(error)) from error
        return connection

    def _lost(self) -> None:
        self.losses += 1

    def _refused(self, login: SshLogin, why: str) -> OutsideError:
        keys = [str(path) for path in self.settings.identity_files]
        tried = shlex.join(keys) if keys else "the agent's keys and the usual files in ~/.ssh"
        option = f"-i {shlex.quote(keys[0])} -o IdentitiesOnly=yes " if keys else ""
        return OutsideError(
            HOST_LOGIN_REFUSED,
            f"{login} does not let us log in",
            where=Where(host=self.host),
            why=f"{why}; tried with {tried}",
            next=f"try it by hand: `{login.command.replace('ssh ', f'ssh {option}', 1)} true`, and see "
            "~/.ssh/authorized_keys there",
        )

    def _broken(self, error: Exception) -> OutsideError:
        return self.silent(f"the connection broke: {_words(error)}")


class _Client(asyncssh.SSHClient):
    """What asyncssh asks and tells of one connection."""

    def __init__(self, trust: HostTrust, on_lost: Callable[[], None]) -> None:
        self._trust = trust
        self._on_lost = on_lost

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Whether a key that the file of known hosts does not have is taken."""
        del host, addr, port
        return self._trust.takes(key)

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended; its channels have been closed."""
        del exc
        self._on_lost()


def _heard(done: asyncio.Future[T]) -> None:
    """Take note of an error: whoever waited has it, or nobody is left to."""
    if not done.cancelled():
        done.exception()


def _lost(error: asyncssh.Error | OSError, connection: asyncssh.SSHClientConnection) -> bool:
    """Whether it was not the host that refused something, but the connection that is gone."""
    gone = (asyncssh.ConnectionLost, asyncssh.DisconnectError, asyncssh.SFTPConnectionLost)
    return isinstance(error, (*gone, asyncssh.SFTPNoConnection)) or connection.is_closed()


def _unreachable(host: str, login: SshLogin, why: str) -> OutsideError:
    return OutsideError(
        HOST_UNREACHABLE,
        f"{login} cannot be reached",
        where=Where(host=host),
        why=why,
        next=f"try it by hand: `{login.command} true`",
    )


def _words(error: Exception) -> str:
    """The error's own words, safe to show."""
    return REDACT(printable(str(error) or type(error).__name__)).replace("\n", " ")
