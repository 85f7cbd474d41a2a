"""An app to put load on: one file for a bare Python, in an image or as a process.

    GET  /          "<name> <version>"
    POST /          the same, and behind it how many bytes came
    GET  /slow      the same after SLOW seconds
    GET  /events    an event each 100 ms for EVENTS seconds, then one of the kind `end`
    GET  /ws        a WebSocket that says back what it is told

Everything stands in the environment: NAME, VERSION, PORT, SLOW, EVENTS, and how it ends on SIGTERM: ON_TERM
`abrupt` dies at once, whatever is open; `graceful` takes no more connections and finishes what is open.
DIES_AFTER seconds it exits with 3, as a version that fails late. So that a load generator can be proved,
LOSES says which of its requests it treats badly, in turn: `cut:50` closes each 50th without an answer,
`half:50` answers it by half, `fail:50` with a 502, `hang:50` never; `events:2` ends each second stream of
events without its end, `slow:2` each second slow answer, `ws:2` each second WebSocket.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of the WebSocket protocol
_EVENT_SECONDS = 0.1
_FOR_EVER = 3600.0
_LOOK_SECONDS = 0.01  # a connection that is kept is done without an end
_CLOSE, _PING, _PONG = 8, 9, 10


@dataclass
class Request:
    """What came in, with its body."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class App:
    """One server."""

    says: str
    slow_seconds: float = 10.0
    event_seconds: float = 8.0
    loses: Mapping[str, int] = field(default_factory=dict[str, int])
    seen: dict[str, int] = field(default_factory=dict[str, int])
    open: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    busy: set[asyncio.Task[None]] = field(
        default_factory=set[asyncio.Task[None]]
    )  # of these: with a request in hand

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until one side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        try:
            while (request := await _read(reader)) is not None:
                self.busy.add(task)
                if not await self._answered(request, reader, writer):
                    break
                self.busy.discard(task)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open.discard(task)
            self.busy.discard(task)
            writer.close()

    async def _answered(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection goes on."""
        if request.path in {"/events", "/ws"}:
            await (self._events(writer) if request.path == "/events" else self._echo(request, reader, writer))
            return False
        if request.path == "/slow":
            await asyncio.sleep(self.slow_seconds)
        count = f" {len(request.body)}" if request.method == "POST" else ""
        answer = _answer(f"{self.says}{count}\n".encode())
        badly = self._badly(request.path)
        if badly == "cut":
            return False
        if badly == "hang":
            await asyncio.sleep(_FOR_EVER)
        if badly == "fail":
            answer = _answer(b"nobody there\n", status="502 Bad Gateway")
        writer.write(answer[:-2] if badly == "half" else answer)
        await writer.drain()
        return badly != "half" and request.headers.get("connection", "").lower() != "close"

    def _badly(self, path: str) -> str:
        """How a request is to be treated; empty: well."""
        if path == "/slow":
            return "cut" if self._turn("slow") else ""
        turns = [kind for kind in ("cut", "hang", "fail", "half") if self._turn(kind)]
        return turns[0] if turns else ""

    async def _events(self, writer: asyncio.StreamWriter) -> None:
        """Events, each in a chunk of its own, and the end that says so."""
        head = "Content-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n"
        writer.write(f"HTTP/1.1 200 OK\r\n{head}Connection: close\r\n\r\n".encode())
        count = max(1, round(self.event_seconds / _EVENT_SECONDS))
        breaks = self._turn("events")
        for number in range(count):
            writer.write(_chunk(f"data: {self.says} {number}\n\n".encode()))
            await writer.drain()
            await asyncio.sleep(_EVENT_SECONDS)
            if breaks and number >= count // 2:
                return
        writer.write(_chunk(b"event: end\ndata: end\n\n") + b"0\r\n\r\n")
        await writer.drain()

    async def _echo(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Say back each message until the other side says goodbye."""
        key = request.headers.get("sec-websocket-key", "") + _MAGIC
        accepted = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
        head = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        writer.write(f"HTTP/1.1 101 Switching Protocols\r\n{head}{accepted}\r\n\r\n".encode())
        breaks = self._turn("ws")
        told = 0
        while True:
            kind, payload = await _frame(reader)
            if kind == _PING:
                kind = _PONG
            if breaks and told >= 3:
                return
            told += 1
            writer.write(bytes([0x80 | kind, len(payload)]) + payload)
            await writer.drain()
            if kind == _CLOSE:
                return

    def _turn(self, kind: str) -> bool:
        """Whether it is this one's turn to be treated badly."""
        if kind not in self.loses:
            return False
        self.seen[kind] = self.seen.get(kind, 0) + 1
        return self.seen[kind] % self.loses[kind] == 0


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request; None when the other side is done."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path.partition("?")[0], headers, body)


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One frame of a client, which is short and masked; its kind and what it says."""
    first, second = await reader.readexactly(2)
    mask = await reader.readexactly(4)
    hidden = await reader.readexactly(second & 0x7F)
    return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(hidden))


def _answer(body: bytes, *, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


async def run(variables: Mapping[str, str]) -> int:
    """Serve until SIGTERM, or until the version dies; the exit code."""
    losses = (one.partition(":") for one in variables.get("LOSES", "").split(",") if one)
    app = App(
        says=f"{variables.get('NAME', 'app')} {variables.get('VERSION', 'v1')}",
        slow_seconds=float(variables.get("SLOW", "10")),
        event_seconds=float(variables.get("EVENTS", "8")),
        loses={kind: int(turn) for kind, _, turn in losses},
    )
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    if variables.get("ON_TERM", "abrupt") == "graceful":
        loop.add_signal_handler(signal.SIGTERM, told.set)
    else:
        signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
    host, port = variables.get("HOST", ""), int(variables.get("PORT", "8080"))
    listening = socket.create_server((host, port), backlog=512)
    server = await asyncio.start_server(app.serve, sock=listening)
    print(f"{app.says} serves on {server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201  # a program
    if lifetime := float(variables.get("DIES_AFTER", "0")):
        loop.call_later(lifetime, _die)
    await told.wait()
    server.close()
    while app.busy:
        await asyncio.wait(app.busy, timeout=_LOOK_SECONDS)
    return 0


def _die() -> None:
    print("the database went away", file=sys.stderr, flush=True)  # noqa: T201  # a program
    os._exit(3)


if __name__ == "__main__":
    code = asyncio.run(run(os.environ))
    sys.stdout.flush()
    os._exit(code)  # connections that are idle need no goodbye
