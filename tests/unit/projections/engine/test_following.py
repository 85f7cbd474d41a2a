"""Bytes of a log as lines, from a thread that never outlives its reader."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from events.kernel.redact import REDACT
from projections.engine import following
from projections.engine.following import lines_of, split_lines
from tests.support.processes import wait_until


class Pieces:
    """A stream of bytes that a test writes; closing ends it."""

    def __init__(self, *pieces: bytes | Exception, open_end: bool = False) -> None:
        self._pieces: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()
        for piece in pieces:
            self._pieces.put(piece)
        if not open_end:
            self._pieces.put(None)
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self) -> None:
        self.closed = True
        self._pieces.put(None)


def stamped(*pieces: bytes) -> list[tuple[int, str]]:
    return [(line.at, line.text) for lines in split_lines(iter(pieces)) for line in lines]


def split(*pieces: bytes) -> list[str]:
    return [text for _, text in stamped(*pieces)]


def test_pieces_become_lines() -> None:
    assert split(b"a\nb", b"c\n\n", b"d") == ["a", "bc", "", "d"]
    assert split() == []


def test_lines_are_safe_to_show() -> None:
    REDACT.learn("hunter2-hunter2")
    assert split(b"\x1b[31mred\x1b[0m hunter2-hunter2\r\n\xff\n") == ["red ***", "\ufffd"]
    REDACT.forget()


def test_a_line_without_end_is_shown_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LINE_LIMIT_BYTES", 4)
    assert split(b"123456", b"789") == ["1234", "5678", "9"]


def test_the_engine_s_time_is_taken_off_each_line() -> None:
    first = b"2026-11-22T02:22:38.000000001Z one\n"
    second = b"2026-11-22T03:22:38.5+01:00 two\n"
    assert stamped(first, second, b"2026-11-22T02:22:40Z \nnone\n") == [
        (1795314158000000001, "one"),
        (1795314158500000000, "two"),
        (1795314160000000000, ""),
        (1795314160000000000, "none"),
    ]


def test_a_line_that_the_engine_cut_has_a_time_in_each_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LINE_LIMIT_BYTES", 4)
    stamp = b"2026-11-22T02:22:38.000000001Z "
    assert stamped(stamp + b"1234" + stamp + b"56\n", stamp + b"7\n") == [
        (1795314158000000001, "1234"),
        (1795314158000000001, "56"),
        (1795314158000000001, "7"),
    ]


def test_a_line_that_never_ends_is_cut_before_it_fills_the_memory() -> None:
    *lines, last = [line for some in split_lines(iter([b"x" * 1000] * 100)) for line in some]
    assert sum(len(line.text) for line in [*lines, last]) == 100_000
    assert all(line.whole for line in lines)
    assert not last.whole


def test_lines_come_in_order_until_the_end() -> None:
    stream = Pieces(*(b"%d\n" % number for number in range(1000)))

    async def collected() -> list[str]:
        return [line.text async for line in lines_of(stream)]

    assert asyncio.run(collected()) == [str(number) for number in range(1000)]
    assert stream.closed


def test_an_error_of_the_stream_is_raised_where_it_is_read() -> None:
    async def collected() -> list[str]:
        return [line.text async for line in lines_of(Pieces(b"a\n", ValueError("torn")))]

    with pytest.raises(ValueError, match="torn"):
        asyncio.run(collected())


@pytest.mark.parametrize("pieces", [1, 500])
def test_a_reader_that_goes_ends_the_thread(pieces: int) -> None:
    stream = Pieces(*[b"a\n"] * pieces, open_end=True)

    async def first() -> None:
        async with aclosing(lines_of(stream)) as lines:
            async for line in lines:
                assert line.text == "a"
                break

    asyncio.run(first())
    wait_until("the thread ends", lambda: not any(one.name == "engine-log" for one in threading.enumerate()))
