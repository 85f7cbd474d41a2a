"""Bytes both ways between a connection of this machine and one that goes through an SSH server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import asyncssh

_CHUNK_BYTES = 64 * 1024
_ARRIVAL_SECONDS = 15.0  # for what is under way to a reader here


async def pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncssh.SSHReader[bytes],
    far_writer: asyncssh.SSHWriter[bytes],
) -> None:
    """Carry bytes both ways until the engine has nothing more to say, or nobody is there to hear it.

    That this side has said all is passed on: an engine may still answer. Who asked and has gone is no error;
    what the other side's connection raises is.
    """

    async def there() -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            far_writer.write(chunk)
            await far_writer.drain()
        far_writer.write_eof()

    async def back() -> None:
        while chunk := await far_reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            try:
                await writer.drain()
            except ConnectionError:
                return
        writer.close()

    async with _side_by_side(there()):
        await back()
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_ARRIVAL_SECONDS):
                await writer.wait_closed()  # what is under way to the reader arrives


@contextlib.asynccontextmanager
async def _side_by_side(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Do `work` as long as the block lasts; how it ended is of no interest then."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
