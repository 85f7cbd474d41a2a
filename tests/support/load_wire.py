"""One connection of a load: what is asked on it and what comes back, read to the last byte.

It is written by hand on sockets, because a client library asks again where a connection broke, opens another
one, or takes half an answer for a whole one, and what is to be counted here is exactly that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_MOST_BYTES = 1 << 20


class LostError(Exception):
    """Something was not answered as it should be."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(f"{kind}: {why}")
        self.kind = kind
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom to ask, and under which name."""

    address: str
    port: int
    name: str  # the Host of each request
    path: str = "/"


@dataclass(slots=True, kw_only=True)
class Answer:
    """The head of an answer; its body is read with `parts`."""

    status: int
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def closes(self) -> bool:
        """Whether the connection ends behind it."""
        chunked = "transfer-encoding" in self.headers
        known = chunked or "content-length" in self.headers or self.status == 101
        return not known or self.headers.get("connection", "").lower() == "close"


@dataclass(slots=True, kw_only=True)
class Wire:
    """An open connection."""

    target: Target
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(
        self, method: str, path: str = "", *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request and read the head of its answer. Raises LostError."""
        lines = {"Host": self.target.name, **(headers or {})}
        if method == "POST":
            lines["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.writer.write(f"{method} {path or self.target.path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        with _losses():
            await self.writer.drain()
            said = await self.reader.readuntil(b"\r\n\r\n")
        first, *rest = said.decode("latin-1").rstrip("\r\n").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise LostError("garbled", first[:100])
        found = (line.partition(":") for line in rest)
        return Answer(
            status=int(words[1]),
            reason=words[-1],
            headers={name.strip().lower(): value.strip() for name, _, value in found},
        )

    async def parts(self, answer: Answer) -> AsyncIterator[bytes]:
        """The body as it comes. Raises LostError where it ends too early."""
        if answer.headers.get("transfer-encoding", "").lower() == "chunked":
            while True:
                with _losses():
                    line = await self.reader.readuntil(b"\n")
                    size = _size(line)
                    part = await self.reader.readexactly(size)
                    await self.reader.readuntil(b"\n")
                if not size:
                    return
                yield part
        elif "content-length" in answer.headers:
            with _losses():
                yield await self.reader.readexactly(int(answer.headers["content-length"]))
        else:
            while part := await self._some():
                yield part

    async def body(self, answer: Answer) -> bytes:
        """All of it. Raises LostError."""
        return b"".join([part async for part in self.parts(answer)])

    async def _some(self) -> bytes:
        with _losses():
            return await self.reader.read(_MOST_BYTES)

    async def closed_by_other(self, seconds: float) -> bool:
        """Wait that long, unless the other side ends the connection before."""
        try:
            async with asyncio.timeout(seconds):
                return await self.reader.read(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


@asynccontextmanager
async def dialled(target: Target) -> AsyncGenerator[Wire]:
    """A new connection, closed with the block. Raises LostError `refused`."""
    try:
        reader, writer = await asyncio.open_connection(target.address, target.port, limit=_MOST_BYTES)
    except OSError as error:
        raise LostError("refused", str(error)) from error
    try:
        yield Wire(target=target, reader=reader, writer=writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.contextmanager
def _losses() -> Generator[None]:
    """A connection that ends is a loss, whether it is said or not."""
    try:
        yield
    except asyncio.IncompleteReadError as error:
        raise LostError("cut", f"it ended after {len(error.partial)} bytes") from error
    except asyncio.LimitOverrunError as error:
        raise LostError("garbled", str(error)) from error
    except OSError as error:
        raise LostError("cut", str(error) or type(error).__name__) from error


def _size(line: bytes) -> int:
    try:
        return int(line, 16)
    except ValueError as error:
        raise LostError("garbled", f"the size of a chunk is {line[:20]!r}") from error
