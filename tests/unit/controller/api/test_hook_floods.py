"""Deliveries that are too large, too slow or too many: the real server, and clients that do not behave."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tracemalloc
from collections import Counter
from collections.abc import AsyncGenerator

import pytest

from controller.api.hooks import MOST_BYTES
from tests.unit.controller.api.house import PATH, House, run, signed

CONNECTIONS, EACH = 8, 25  # deliveries of one kind through one connection


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_may_have_one_mebibyte_and_no_more(*, declared: bool) -> None:
    async def story(house: House) -> None:
        assert (await house.post(b" " * MOST_BYTES)).status_code == 202
        large = b" " * (MOST_BYTES + 1)

        async def pieces() -> AsyncGenerator[bytes]:
            yield large

        content = large if declared else pieces()
        answer = await house.client.post(PATH, content=content, headers=signed(large))
        assert (answer.status_code, answer.json()["reason"]) == (413, "too-large")
        assert len(house.woken) == 1

    run(story)


@pytest.mark.parametrize("expects", [True, False])
def test_a_body_that_says_it_is_too_large_is_answered_before_any_of_it_comes(*, expects: bool) -> None:
    async def story(house: House) -> None:
        more = "Expect: 100-continue\r\n" if expects else ""
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {60 * 1024 * 1024}\r\n{more}\r\n"
        assert (await answered(house, head.encode())).startswith(b"HTTP/1.1 413")

    run(story)


def test_a_body_that_becomes_too_large_is_answered_while_it_still_comes() -> None:
    async def story(house: House) -> None:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        piece = b"10000\r\n" + b"[" * 0x10000 + b"\r\n"
        assert (await answered(house, head, *[piece] * 17)).startswith(b"HTTP/1.1 413")

    run(story)


async def answered(house: House, *pieces: bytes) -> bytes:
    """The first line of the answer to a request that is not at its end."""
    host, _colon, port = house.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(60):
            return await reader.readline()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_of_60_megabytes_reaches_no_memory_and_its_sender_hears_the_answer(*, declared: bool) -> None:
    async def story(house: House) -> None:
        piece = b"[" * 100_000

        async def pieces() -> AsyncGenerator[bytes]:
            for _ in range(600):
                yield piece

        headers = signed(b"") | ({"Content-Length": "60000000"} if declared else {})
        tracemalloc.start()
        try:
            answer = await house.client.post(PATH, content=pieces(), headers=headers)
            _now, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert answer.status_code == 413
        assert most < 8 * MOST_BYTES
        assert (await house.post()).status_code == 202

    run(story)


def test_a_flood_of_signed_deliveries_is_slowed_down_and_the_next_one_counts_again() -> None:
    async def story(house: House) -> None:
        answers = [await house.post() for _ in range(40)]
        assert [one.status_code for one in answers] == [202] * 30 + [429] * 10
        assert answers[-1].headers["retry-after"] == "1"
        assert len(house.woken) == 30
        house.clock.advance(2.5)
        assert [(await house.post()).status_code for _ in range(3)] == [202, 202, 429]

    run(story)


def test_refusals_of_a_source_make_one_line_a_minute() -> None:
    async def story(house: House) -> None:
        for _ in range(50):
            await house.post(secret=b"another")
        assert len(house.said) == 1
        house.clock.advance(61)
        await house.post(secret=b"another")
        assert house.said[1:] == [
            f"webhook refused: signature-wrong, from 127.0.0.1 to {PATH} (49 more since the last such line)"
        ]
        assert house.hooks.refusals.counts == {"signature-wrong": 51}

    run(story)


def test_refused_ones_take_nothing_from_those_that_are_signed() -> None:
    async def story(house: House) -> None:
        for _ in range(60):
            await house.post(secret=b"another")
        assert (await house.post()).status_code == 202

    run(story)


def test_bodies_that_never_end_are_bounded_and_those_beyond_are_sent_away() -> None:
    async def story(house: House) -> None:
        host, _colon, port = house.address.rpartition(":")
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode()
        open_ones = [await asyncio.open_connection(host, int(port)) for _ in range(32)]
        try:
            for _reader, writer in open_ones:
                writer.write(head + b"[")
                await writer.drain()
            async with asyncio.timeout(60):
                while (answer := await house.post()).status_code != 503:
                    assert answer.status_code in {202, 429}
            assert answer.json()["reason"] == "too-many-at-once"
        finally:
            for _reader, writer in open_ones:
                writer.close()
                await writer.wait_closed()
        async with asyncio.timeout(60):
            while (await house.post()).status_code == 503:
                pass

    run(story)


def test_a_flood_through_many_connections_is_answered_by_the_contract_and_leaves_nothing_behind() -> None:
    async def story(house: House) -> None:
        large = b" " * (MOST_BYTES + 1)
        kinds = {
            "signed": _request(b"{}", signed(b"{}")),
            "forged": _request(b"{}", signed(b"{}", b"another")),
            "bare": _request(b"{}", {}),
            "large": _request(b"", {"Content-Length": str(len(large))}),
        }
        answers = Counter[tuple[str, int]]()

        async def round_of_all() -> int:
            """Bytes in use after a flood."""
            floods = (_flooded(house, kinds, answers) for _ in range(CONNECTIONS))
            await asyncio.gather(*floods)
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            first = await round_of_all()
            second = await round_of_all()
        finally:
            tracemalloc.stop()
        each = 2 * CONNECTIONS * EACH
        assert answers == {
            ("signed", 202): 30,
            ("signed", 429): each - 30,
            ("forged", 401): each,
            ("bare", 401): each,
            ("large", 413): each,
        }
        assert len(house.woken) == 30
        assert len(house.said) == 4, "one line for each reason, from one address, in one minute"
        assert second - first < MOST_BYTES // 8

    run(story)


def _request(body: bytes, headers: dict[str, str]) -> bytes:
    lines = {"Host": "x", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {PATH} HTTP/1.1\r\n{head}\r\n".encode() + body


async def _flooded(house: House, kinds: dict[str, bytes], answers: Counter[tuple[str, int]]) -> None:
    """Send each kind so often through one connection, as long as the server keeps it."""
    host, _colon, port = house.address.rpartition(":")
    async with asyncio.timeout(120):
        for kind, request in kinds.items():
            left = EACH
            while left:
                reader, writer = await asyncio.open_connection(host, int(port))
                kept = True
                while left and kept:
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    words = head.lower()
                    await reader.readexactly(int(words.partition(b"content-length: ")[2].split()[0]))
                    answers[kind, int(head.split()[1])] += 1
                    left, kept = left - 1, b"connection: close" not in words
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
