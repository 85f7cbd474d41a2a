"""One request through a gateway, over a connection of its own, as a visitor would make it.

It begins on the gateway's host, so the network between that host and here has no part in it. No proxy, no
name to resolve, no redirect followed. The connection ends with the answer: one that was kept would not see
that new connections are refused.

Where the gateway ends TLS its certificate is not verified. Whom it is talking to is no question here: the
port is that of our own gateway's container, found by its engine and reached on its host's loopback or
bridge; nothing secret is sent, and the only thing asked is whether an answer comes. With verification a
certificate that is issued a minute later, or by an authority that only visitors know, would count as lost
requests.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from functools import cache

import h11

from projections.transport.port import HostConnection, Transport

ANSWER_SECONDS = 2.0  # for a request, from the connection to the end of the answer
_HEAD_BYTES = 16 * 1024  # of status line and headers
_BODY_BYTES = 64 * 1024  # of an answer; what has more counts as whole
_CHUNK_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked."""

    host: str  # the name that a visitor asks for
    path: str
    tls: bool = False

    def __str__(self) -> str:
        return f"GET {'https' if self.tls else 'http'}://{self.host}{self.path}"

    @property
    def request(self) -> h11.Request:
        """As it is sent. Raises ValueError for what no request can say."""
        headers = [("Host", self.host), ("User-Agent", "stagecraft"), ("Connection", "close")]
        try:
            return h11.Request(method="GET", target=self.path, headers=headers)
        except h11.LocalProtocolError as error:
            raise ValueError(f"no request can say {self}: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where the gateway takes connections, as its host dials it."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


async def ask(
    question: Question, door: Door, transport: Transport, *, seconds: float = ANSWER_SECONDS
) -> int:
    """The status of an answer that came whole.

    Raises OSError (TimeoutError after `seconds`) when none came, whoever is to blame for it, and OutsideError
    with a code in `HOST_SILENT` when the host cannot be asked to dial.
    """
    async with asyncio.timeout(seconds):
        plain = await transport.dial(door.address, door.port, seconds=seconds)
        try:
            stream = await _secured(plain, question.host) if question.tls else plain
            return await _exchange(question, stream)
        except h11.RemoteProtocolError as error:
            raise ConnectionAbortedError(f"what came back is no whole answer: {error}") from error
        finally:
            plain.close()


async def _exchange(question: Question, stream: HostConnection) -> int:
    """Ask and read to the end. Raises OSError, h11.RemoteProtocolError for an answer that is cut off."""
    talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
    await stream.write((talk.send(question.request) or b"") + (talk.send(h11.EndOfMessage()) or b""))
    status, read = 0, 0
    while read <= _BODY_BYTES:
        match await _next(talk, stream):
            case h11.Response(status_code=code):
                status = code
            case h11.Data(data=data):
                read += len(data)
            case h11.InformationalResponse():
                read += 1  # so many of them end it, too
            case _:
                break
    return status


async def _next(talk: h11.Connection, stream: HostConnection) -> object:
    """The next event that is more than a wish for data. Raises OSError, h11.RemoteProtocolError."""
    while (event := talk.next_event()) is h11.NEED_DATA:
        data = await stream.read(_CHUNK_BYTES)
        if not data and talk.their_state is h11.SEND_RESPONSE:
            raise ConnectionAbortedError("the connection was closed without an answer")
        talk.receive_data(data)
    return event


@cache
def _unverified() -> ssl.SSLContext:
    """See the module's docstring for why nothing is verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _secured(plain: HostConnection, name: str) -> HostConnection:
    """TLS over a connection, with the handshake done. Raises OSError, of which ssl.SSLError is one."""
    made = _Secured(plain, name)
    await made.shake_hands()
    return made


class _Secured:
    """TLS over a connection that any transport made, so that it need not know of TLS."""

    def __init__(self, plain: HostConnection, name: str) -> None:
        self._plain = plain
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _unverified().wrap_bio(self._arrived, self._leaving, server_hostname=name)

    async def shake_hands(self) -> None:
        """Agree on keys."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._take()
            else:
                await self._flush()
                return

    async def read(self, most: int) -> bytes:
        """See `HostConnection.read`."""
        while True:
            try:
                return self._tls.read(most)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._take()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def write(self, content: bytes) -> None:
        """See `HostConnection.write`."""
        self._tls.write(content)
        await self._flush()

    def close(self) -> None:
        """See `HostConnection.close`."""
        self._plain.close()

    async def _flush(self) -> None:
        if self._leaving.pending:
            await self._plain.write(self._leaving.read())

    async def _take(self) -> None:
        data = await self._plain.read(_CHUNK_BYTES)
        if data:
            self._arrived.write(data)
        else:
            self._arrived.write_eof()
