"""HTTP at a port of a host: what is kept, what is asked again, and what is no answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from typing_extensions import override

from projections.edge.http import HostHttp
from projections.transport.local import LocalTransport

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nEtag: x\r\n\r\nok"


class Server:
    """A server that sends these answers, each to one request, and then hangs up."""

    def __init__(self, *answers: tuple[bytes, ...]) -> None:
        self.asked: list[bytes] = []
        self.talks: list[asyncio.Task[None] | None] = []
        self._connections = iter(answers)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.talks.append(asyncio.current_task())
        try:
            await self.say(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def say(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in next(self._connections):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(dict(_headers(head)).get("content-length", "0"))
            self.asked.append(head + await reader.readexactly(length))
            writer.write(answer)
            await writer.drain()


def _headers(head: bytes) -> list[tuple[str, str]]:
    lines = head.decode().split("\r\n")[1:]
    return [(name.lower(), value) for name, found, value in (line.partition(": ") for line in lines) if found]


async def _with(
    server: Server, work: Callable[[HostHttp], Awaitable[None]], *, login: tuple[str, str] | None = None
) -> None:
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    async with listening:
        port: int = listening.sockets[0].getsockname()[1]
        http = HostHttp(LocalTransport(), "127.0.0.1", port, login=login)
        assert http.target == ("127.0.0.1", port)
        await work(http)
        http.close()
        await asyncio.gather(*filter(None, server.talks), return_exceptions=True)


def test_a_connection_is_kept_and_made_anew_when_it_was_closed() -> None:
    server = Server((FINE, FINE), (b"HTTP/1.1 100 Continue\r\n\r\n" + FINE,))

    async def work(http: HostHttp) -> None:
        for _ in range(3):
            assert await http.get("/a?b=c", seconds=5) == (200, b"ok")
            assert http.etag == "x"

    asyncio.run(_with(server, work, login=("me", "secret")))
    assert len(server.asked) == 3
    assert all(b"Basic bWU6c2VjcmV0" in head for head in server.asked)


def test_what_is_given_along_arrives_on_a_new_connection_too() -> None:
    server = Server((FINE,), (b"HTTP/1.1 412 No\r\nConnection: close\r\n\r\nchanged",))

    async def work(http: HostHttp) -> None:
        await http.get("/", seconds=5)
        await asyncio.sleep(0.05)  # so that the other side has hung up
        answer = await http.ask("POST", "/config/", seconds=5, body=b"{}", if_match="x")
        assert answer == (412, b"changed")

    asyncio.run(_with(server, work))
    assert server.asked[-1].startswith(b"POST /config/ HTTP/1.1")
    assert server.asked[-1].endswith(b"\r\n\r\n{}")
    assert b"If-Match: x" in server.asked[-1]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-x\r\n\r\n", "no HTTP"),
        (b"", "no HTTP|closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "no HTTP|closed"),
    ],
)
def test_what_is_no_answer_is_an_error_of_the_system(answer: bytes, words: str) -> None:
    async def work(http: HostHttp) -> None:
        with pytest.raises(OSError, match=words):
            await http.get("/", seconds=5)

    asyncio.run(_with(Server((answer,)), work))


def test_nobody_is_waited_for_longer_than_said() -> None:
    class Silent(Server):
        @override
        async def say(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

    async def work(http: HostHttp) -> None:
        with pytest.raises(TimeoutError):
            await http.get("/", seconds=0.1)

    asyncio.run(_with(Silent(), work))
