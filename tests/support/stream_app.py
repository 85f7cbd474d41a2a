"""An app for routes that are no plain HTTP: one file for a bare Python, in an image or as a process.

    9000   HTTP/2 without TLS, as gRPC has it: each request is a stream that says back what it is told, and
           ends with `grpc-status: 0` behind it when its client is done
    7000   bytes: each line is said back

Before each line that is said back stands "<NAME> <VERSION>", which the environment has. SIGTERM ends it at
once, whatever is open. Of HTTP/2 there is as much as this needs: requests are answered alike whatever their
headers say, and clients say less than a window.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Mapping

H2C_PORT, BYTES_PORT = 9000, 7000
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9
DATA, HEADERS, SETTINGS, PING, GOAWAY = 0, 1, 4, 6, 7
ACK = END_STREAM = 1
END_HEADERS = 4
STATUS_200 = b"\x88"
_GRPC_OK = b"\x00\x0bgrpc-status\x010"
_TYPE = b"\x00\x0ccontent-type\x10application/grpc"


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    """A frame of HTTP/2."""
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content


async def speak_http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, says: str) -> None:
    """One connection, until its client ends it."""
    if await reader.readexactly(len(PREFACE)) != PREFACE:
        return
    writer.write(frame(SETTINGS, 0, 0))
    while True:
        head = await reader.readexactly(HEAD_BYTES)
        content = await reader.readexactly(int.from_bytes(head[:3], "big"))
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        if kind in {SETTINGS, PING} and not flags & ACK:
            writer.write(frame(kind, ACK, 0, content if kind == PING else b""))
        if kind == GOAWAY:
            return
        if kind == HEADERS:
            writer.write(frame(HEADERS, END_HEADERS, stream, STATUS_200 + _TYPE))
        if kind == DATA and content:
            writer.write(frame(DATA, 0, stream, f"{says}: ".encode() + content))
        if kind in {DATA, HEADERS} and flags & END_STREAM:
            writer.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, _GRPC_OK))
        await writer.drain()


async def speak_bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, says: str) -> None:
    """One connection, likewise."""
    while line := await reader.readline():
        writer.write(f"{says}: ".encode() + line)
        await writer.drain()


async def run(variables: Mapping[str, str]) -> None:
    """Serve until SIGTERM."""
    says = f"{variables.get('NAME', 'app')} {variables.get('VERSION', 'v1')}"
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))

    async def serve(port: int) -> None:
        speak = speak_http2 if port == H2C_PORT else speak_bytes

        async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await speak(reader, writer, says=says)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        listening = socket.create_server(("", port))
        await (await asyncio.start_server(taken, sock=listening)).serve_forever()

    await asyncio.gather(serve(H2C_PORT), serve(BYTES_PORT))


if __name__ == "__main__":
    asyncio.run(run(os.environ))
