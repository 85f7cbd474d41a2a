"""Asking at an address: whatever the other side does, there is an answer in time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from events.manifest import HttpProbe, TcpProbe
from projections.engine.dialling import dial
from projections.engine.port import ProbeAnswer
from tests.support.processes import free_port

HERE = "127.0.0.1"
PATIENCE_SECONDS = 20.0
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def get(port: int, *, path: str = "/", host: str | None = None) -> HttpProbe:
    return HttpProbe(port=port, path=path, first_status=200, last_status=299, host=host)


def asked(serve: Serve, *, seconds: float = PATIENCE_SECONDS, host: str | None = None) -> ProbeAnswer:
    """What comes of a GET from a server that treats each connection with `serve`."""

    async def run() -> ProbeAnswer:
        async with served(serve) as port:
            answer = await dial(get(port, path="/alive", host=host), [HERE], deadline_seconds=seconds)
        return ProbeAnswer(passed=answer.passed, said=answer.said.replace(str(port), "PORT"))

    return asyncio.run(run())


@contextlib.asynccontextmanager
async def served(serve: Serve) -> AsyncGenerator[int]:
    """A server's port; at the end all connections are through with `serve`: the client closed them."""
    treated: list[asyncio.Task[None]] = []

    async def treat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await serve(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        treated.append(asyncio.create_task(treat(reader, writer)))

    async with await asyncio.start_server(begin, HERE, 0) as server:
        yield server.sockets[0].getsockname()[1]
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*treated)


def saying(*parts: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()

    return serve


async def for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Nothing is said until the other side goes."""
    del writer
    while await reader.read(1000):
        pass


def test_the_request_is_plain_and_for_the_name_that_is_asked_for() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    assert asked(serve, host="shop.example.org").passed
    assert asked(serve).passed
    assert heads[0].startswith(b"GET /alive HTTP/1.1\r\nHost: shop.example.org\r\n")
    assert b"\r\nHost: localhost:" in heads[1]
    assert b"Connection: close" in heads[0]


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{HERE}:{free_port()}")
    assert asked(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).passed


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    elsewhere = b"HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\nContent-Length: 0\r\n\r\n"
    answer = asked(saying(elsewhere))
    assert answer == ProbeAnswer(passed=False, said="GET http://localhost:PORT/alive answered 302 Found")


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n", b"6\r\nno db\n\r\n0\r\n\r\n"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 6\r\n\r\n", b"no ", b"db\n"),
        (b"HTTP/1.0 503 Busy\r\n\r\n\n  no db  \nand more",),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 Busy\r\n\r\nno db",),
        (b"HTTP/1.1 503 Busy\r\n\r\nno db\n" + b"x" * 10_000_000,),
    ],
)
def test_the_first_line_of_a_bad_answer_is_shown_however_it_comes(parts: tuple[bytes, ...]) -> None:
    answer = asked(saying(*parts))
    said = "GET http://localhost:PORT/alive answered 503 Service Unavailable: no db"
    assert answer == ProbeAnswer(passed=False, said=said)


def test_a_bad_answer_without_an_end_is_known_at_once() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(b"HTTP/1.1 500 No\r\n\r\n")(reader, writer)
        await for_ever(reader, writer)

    assert asked(serve).said.endswith("answered 500 Internal Server Error")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no HTTP"),
        (b"", "without an answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "no HTTP"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50, "interim"),
    ],
)
def test_what_is_no_answer_is_told(part: bytes, words: str) -> None:
    answer = asked(saying(part))
    assert not answer.passed
    assert words in answer.said


def test_one_that_says_nothing_is_given_up_in_time() -> None:
    assert asked(for_ever, seconds=0.2).said == "GET http://localhost:PORT/alive: no answer in 0.2 s"


def test_one_that_drips_is_given_up_in_time() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    assert asked(drip, seconds=0.3).said.endswith(": no answer in 0.3 s")


def test_the_next_address_is_tried_when_one_refuses() -> None:
    async def run() -> ProbeAnswer:
        async with served(for_ever) as port:
            return await dial(TcpProbe(port=port), ["127.0.0.2", HERE], deadline_seconds=PATIENCE_SECONDS)

    assert asyncio.run(run()).passed


def test_nobody_and_no_address_are_answers() -> None:
    with socket.socket() as unheard:
        unheard.bind((HERE, 0))
        probe = TcpProbe(port=unheard.getsockname()[1])
        refused = asyncio.run(dial(probe, [HERE], deadline_seconds=PATIENCE_SECONDS))
    assert refused == ProbeAnswer(passed=False, said=f"connection to port {probe.port}: Connection refused")
    nowhere = asyncio.run(dial(probe, [], deadline_seconds=PATIENCE_SECONDS))
    assert nowhere.said.endswith("the container is on no network")
