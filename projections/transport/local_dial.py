"""Connections that begin on this machine."""

from __future__ import annotations

import asyncio


class LocalConnection:
    """`HostConnection` of this machine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both ends of an open connection."""
        self._reader, self._writer = reader, writer

    async def read(self, most: int) -> bytes:
        """See the port."""
        return await self._reader.read(most)

    async def write(self, content: bytes) -> None:
        """See the port."""
        self._writer.write(content)
        await self._writer.drain()

    def close(self) -> None:
        """See the port: nothing more is to be said, and an orderly end would wait for the other side."""
        self._writer.transport.abort()


async def from_here(address: str, port: int, *, seconds: float) -> LocalConnection:
    """A connection that begins on this machine. Raises OSError, TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        return LocalConnection(*await asyncio.open_connection(address, port))
