"""A real HTTP server on loopback that loses requests as a test says, and knows when it answered."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Literal

Treatment = Literal["answer", "fail", "miss", "reset", "hush", "halve"]
"""200, 502, 404, a connection that is reset, no word at all, half an answer."""

_SAID = {
    "answer": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "fail": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
    "miss": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "halve": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
}
_RESET = struct.pack("ii", 1, 0)  # linger for no time: the connection ends with RST


@dataclass(slots=True)
class Dropping:
    """A running server; `treat` gets the number of each request, from 0 on."""

    treat: Callable[[int], Treatment]
    port: int = 0
    heads: list[bytes] = field(default_factory=list[bytes])  # of all requests
    answers: list[float] = field(default_factory=list[float])  # the loop's times of those answered well
    _hushed: asyncio.Event = field(default_factory=asyncio.Event)
    _served: set[asyncio.Task[None]] = field(default_factory=set["asyncio.Task[None]"])

    @property
    def longest_gap(self) -> float:
        """Seconds between two answers."""
        pairs = zip(self.answers, self.answers[1:], strict=False)
        return max(later - earlier for earlier, later in pairs)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        task = asyncio.current_task()
        assert task is not None
        self._served.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._serve(reader, writer)
        finally:
            writer.close()
            self._served.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        number = len(self.heads)
        self.heads.append(head)
        treatment = self.treat(number)
        if treatment == "hush":
            await self._hushed.wait()
        elif treatment == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        else:
            writer.write(_SAID[treatment])
            await writer.drain()
            if treatment == "answer":
                self.answers.append(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Let those go that got no word, and all others."""
        self._hushed.set()
        if self._served:
            await asyncio.wait(self._served)


@contextlib.asynccontextmanager
async def dropping(
    treat: Callable[[int], Treatment], *, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[Dropping]:
    """A server at a free port of 127.0.0.1."""
    made = Dropping(treat)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
