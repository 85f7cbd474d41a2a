"""HTTP to a port of a host, over connections that begin there: the same for this machine and for SSH.

One connection is kept for the next question, because whoever asks a gateway asks again a moment later. No
name is resolved, no redirect followed and no proxy asked; an answer has a limit. What fails is an OSError.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib

import h11

from projections.transport.port import HostConnection, Transport

_MOST_BYTES = 64 << 20  # counters of thousands of services
_HEAD_BYTES = 64 * 1024
_READ_BYTES = 64 * 1024


class HostHttp:
    """Requests to one port of a host. Not for several tasks at once."""

    def __init__(
        self, transport: Transport, address: str, port: int, *, login: tuple[str, str] | None
    ) -> None:
        """`login` is a name and a password."""
        self._transport = transport
        self._address, self._port = address, port
        host = f"[{address}]" if ":" in address else address
        self._headers = [("Host", f"{host}:{port}"), ("User-Agent", "stagecraft")]
        if login is not None:
            token = base64.b64encode(f"{login[0]}:{login[1]}".encode()).decode()
            self._headers.append(("Authorization", f"Basic {token}"))
        self._open: tuple[HostConnection, h11.Connection] | None = None
        self.etag = ""  # of the last answer, if it had one

    @property
    def target(self) -> tuple[str, int]:
        """Address and port."""
        return self._address, self._port

    async def get(self, path: str, *, seconds: float) -> tuple[int, bytes]:
        """Status and body. Raises OSError, TimeoutError among them, and what `Transport.dial` raises."""
        return await self.ask("GET", path, seconds=seconds)

    async def ask(
        self, method: str, path: str, *, seconds: float, body: bytes = b"", if_match: str = ""
    ) -> tuple[int, bytes]:
        """The same for what may be done twice: a kept connection may break, and then it is asked again."""
        extra = [("If-Match", if_match)] if if_match else []
        if body:
            extra += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        request = h11.Request(method=method, target=path, headers=[*self._headers, *extra])
        try:
            async with asyncio.timeout(seconds):
                if self._open is not None:
                    with contextlib.suppress(OSError, h11.RemoteProtocolError):
                        return await self._ask(request, body, seconds=seconds)  # it may have been closed
                    self.close()
                return await self._ask(request, body, seconds=seconds)
        except h11.RemoteProtocolError as error:
            self.close()
            raise ConnectionAbortedError(f"what came back is no HTTP: {error}") from error
        except BaseException:  # whatever was under way would be taken for the next answer
            self.close()
            raise

    def close(self) -> None:
        """Give the connection back; the next question opens another."""
        kept, self._open = self._open, None
        if kept is not None:
            kept[0].close()

    async def _ask(self, request: h11.Request, content: bytes, *, seconds: float) -> tuple[int, bytes]:
        if self._open is None:
            stream = await self._transport.dial(self._address, self._port, seconds=seconds)
            self._open = stream, h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
        stream, talk = self._open
        sent = talk.send(request) or b""
        if content:
            sent += talk.send(h11.Data(data=content)) or b""
        await stream.write(sent + (talk.send(h11.EndOfMessage()) or b""))
        status, body = 0, bytearray()
        while not isinstance(event := await _next(talk, stream), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
                self.etag = dict(event.headers).get(b"etag", b"").decode()
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _MOST_BYTES:
                    raise ConnectionAbortedError(f"the answer has more than {_MOST_BYTES} bytes")
            elif not isinstance(event, h11.InformationalResponse):
                raise ConnectionAbortedError("the connection was closed in the middle of an answer")
        if talk.our_state is h11.DONE and talk.their_state is h11.DONE:
            talk.start_next_cycle()
        else:
            self.close()
        return status, bytes(body)


async def _next(talk: h11.Connection, stream: HostConnection) -> object:
    while (event := talk.next_event()) is h11.NEED_DATA:
        talk.receive_data(await stream.read(_READ_BYTES))
    return event
