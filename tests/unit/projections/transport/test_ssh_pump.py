"""Bytes carried both ways, when one of the two sides goes."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import asyncssh
import pytest

from projections.transport.ssh_pump import pump

CHUNK = b"x" * 65536


class FakeFarWriter:
    """Takes what it is given."""

    def __init__(self) -> None:
        self.taken = b""
        self.ended = asyncio.Event()

    def write(self, content: bytes) -> None:
        self.taken += content

    async def drain(self) -> None: ...

    def write_eof(self) -> None:
        self.ended.set()


class FakeFarReader:
    """Says so many chunks, once it was told all by `hears`, and then ends with an error or without."""

    def __init__(
        self, chunks: int, *, hears: FakeFarWriter | None = None, error: Exception | None = None
    ) -> None:
        self.left = chunks
        self.hears = hears
        self.error = error

    async def read(self, size: int) -> bytes:
        del size
        await asyncio.sleep(0)
        if self.hears is not None:
            await self.hears.ended.wait()
        if self.left:
            self.left -= 1
            return CHUNK
        if self.error is not None:
            raise self.error
        return b""


async def carried(mine: socket.socket, far: FakeFarReader, writer: FakeFarWriter) -> None:
    mine.setblocking(False)
    near_reader, near_writer = await asyncio.open_unix_connection(sock=mine)
    try:
        async with asyncio.timeout(10):
            await pump(
                near_reader,
                near_writer,
                cast("asyncssh.SSHReader[bytes]", far),
                cast("asyncssh.SSHWriter[bytes]", writer),
            )
    finally:
        near_writer.transport.abort()


def test_bytes_go_both_ways_and_the_end_is_passed_on() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        theirs.sendall(b"question")
        theirs.shutdown(socket.SHUT_WR)
        writer = FakeFarWriter()
        asyncio.run(carried(mine, FakeFarReader(1, hears=writer), writer))
        assert theirs.recv(len(CHUNK), socket.MSG_WAITALL) == CHUNK
    assert (writer.taken, writer.ended.is_set()) == (b"question", True)


def test_who_asked_and_has_gone_is_no_error() -> None:
    mine, theirs = socket.socketpair()
    with mine:
        theirs.close()
        far = FakeFarReader(1000)
        asyncio.run(carried(mine, far, FakeFarWriter()))
    assert far.left, "it went on reading for nobody"


def test_the_other_sides_error_is_raised() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs, pytest.raises(asyncssh.ConnectionLost):
        asyncio.run(carried(mine, FakeFarReader(0, error=asyncssh.ConnectionLost("gone")), FakeFarWriter()))
