"""One request over a connection of its own, asked of a real server."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

from projections.edge.question import Door, Question, ask
from projections.transport.local import LocalTransport
from tests.unit.projections.edge.dropping import Treatment, dropping

QUESTION = Question(host="shop.localhost", path="/alive")


def asked(treatment: Treatment, *, seconds: float = 2.0, question: Question = QUESTION) -> tuple[int, bytes]:
    """The status, and what the server was sent."""

    async def run() -> tuple[int, bytes]:
        async with dropping(lambda _: treatment) as server:
            door = Door(address="127.0.0.1", port=server.port)
            status = await ask(question, door, LocalTransport(), seconds=seconds)
            return status, server.heads[0]

    return asyncio.run(run())


def test_it_asks_for_a_path_of_a_host_and_for_one_answer() -> None:
    status, head = asked("answer")
    assert status == 200
    assert head.splitlines()[0] == b"GET /alive HTTP/1.1"
    assert {b"Host: shop.localhost", b"Connection: close"} <= set(head.splitlines())


@pytest.mark.parametrize(("treatment", "status"), [("fail", 502), ("miss", 404)])
def test_a_status_is_told_as_it_is(treatment: Treatment, status: int) -> None:
    assert asked(treatment)[0] == status


@pytest.mark.parametrize("treatment", ["reset", "halve"])
def test_an_answer_that_does_not_come_whole_is_an_error(treatment: Treatment) -> None:
    with pytest.raises(ConnectionError):
        asked(treatment)


def test_an_answer_that_does_not_come_in_time_is_an_error() -> None:
    with pytest.raises(TimeoutError):
        asked("hush", seconds=0.1)


def test_nobody_there_is_an_error() -> None:
    async def run() -> None:
        async with dropping(lambda _: "answer") as server:
            door = Door(address="127.0.0.1", port=server.port)
        await ask(QUESTION, door, LocalTransport())

    with pytest.raises(ConnectionRefusedError):
        asyncio.run(run())


def test_what_no_request_can_say_is_said_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="no request can say"):
        _ = Question(host="shop.localhost", path="/a b\r\n").request


def test_an_answer_with_a_long_body_is_whole_enough_and_one_without_a_length_ends_with_the_connection() -> (
    None
):
    async def serve(body: bytes) -> int:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + body)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await ask(QUESTION, Door(address="127.0.0.1", port=port), LocalTransport())

    assert asyncio.run(serve(b"short")) == 200
    assert asyncio.run(serve(b"x" * 1_000_000)) == 200


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's side with a certificate that nobody vouches for, of another name."""
    folder: Path = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=another.name", "-keyout", str(key), "-out", str(made)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context


def test_where_the_gateway_ends_tls_it_is_asked_in_tls_by_the_name_of_the_route(
    certificate: ssl.SSLContext,
) -> None:
    names: list[str | None] = []
    certificate.sni_callback = lambda _socket, name, _context: names.append(name)

    async def run(question: Question) -> int:
        async with dropping(lambda _: "answer", tls=certificate) as server:
            return await ask(question, Door(address="127.0.0.1", port=server.port), LocalTransport())

    assert asyncio.run(run(Question(host="shop.localhost", path="/", tls=True))) == 200
    assert names == ["shop.localhost"]
    with pytest.raises(OSError, match=r".*"):
        asyncio.run(run(QUESTION))


def test_a_server_that_speaks_no_tls_is_an_error() -> None:
    with pytest.raises(OSError, match=r".*"):
        asked("answer", question=Question(host="shop.localhost", path="/", tls=True), seconds=0.5)


def test_doors_and_questions_are_said_as_people_write_them() -> None:
    assert str(Question(host="a.b", path="/c")) == "GET http://a.b/c"
    assert str(Question(host="a.b", path="/c", tls=True)) == "GET https://a.b/c"
    assert str(Door(address="127.0.0.1", port=80)) == "127.0.0.1:80"
    assert str(Door(address="::1", port=80)) == "[::1]:80"
