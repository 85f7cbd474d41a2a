"""The streams of a load, of which one of each kind is always open: each is opened again when it has ended.

    slow    one answer that takes its time
    events  server-sent events, which must end with one of the kind `end`
    ws      a WebSocket: so many echoes, one each tenth of a second, then a goodbye that is returned

The frames of the WebSocket are written by hand, as the rest is: see tests/support/load_wire.py.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Awaitable, Callable
from functools import partial

from tests.support.load_wire import LostError, Target, Wire, dialled

ECHOES = 80
KINDS = ("slow", "events", "ws")
_ECHO_SECONDS = 0.1
_TEXT, _CLOSE = 1, 8
_SWITCHES = 101
_OK = 200


async def slow(target: Target) -> None:
    """One answer. Raises LostError."""
    async with dialled(target) as wire:
        answer = await wire.ask("GET", "/slow")
        if answer.status != _OK:
            raise LostError(f"status {answer.status}", answer.reason)
        await wire.body(answer)


async def events(target: Target) -> None:
    """All events to the end. Raises LostError."""
    async with dialled(target) as wire:
        answer = await wire.ask("GET", "/events", headers={"Accept": "text/event-stream"})
        if answer.status != _OK:
            raise LostError(f"status {answer.status}", answer.reason)
        said = await wire.body(answer)
        if b"event: end\n" not in said:
            raise LostError("cut", f"no end after {said.count(b'data: ')} events")


async def ws(target: Target, *, echoes: int) -> None:
    """Echoes and a goodbye. Raises LostError."""
    key = base64.b64encode(os.urandom(16)).decode()
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
    }
    async with dialled(target) as wire:
        answer = await wire.ask("GET", "/ws", headers=headers)
        if answer.status != _SWITCHES:
            raise LostError(f"status {answer.status}", answer.reason)
        for number in range(echoes):
            await _said_back(wire, _TEXT, f"echo {number}".encode())
            await asyncio.sleep(_ECHO_SECONDS)
        await _said_back(wire, _CLOSE, (1000).to_bytes(2, "big"))


async def _said_back(wire: Wire, kind: int, payload: bytes) -> None:
    """Send a frame and wait for the same one."""
    mask = os.urandom(4)
    hidden = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    wire.writer.write(bytes([0x80 | kind, 0x80 | len(payload)]) + mask + hidden)
    try:
        await wire.writer.drain()
        first, size = await wire.reader.readexactly(2)
        heard = await wire.reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raise LostError("cut", f"before {payload!r} was said back") from error
    except OSError as error:
        raise LostError("cut", str(error) or type(error).__name__) from error
    if (first & 0x0F, heard) != (kind, payload):
        raise LostError("garbled", f"{payload!r} was said back as {heard!r}")


def streams(*, echoes: int = ECHOES) -> dict[str, Callable[[Target], Awaitable[None]]]:
    """All kinds by name."""
    return {"slow": slow, "events": events, "ws": partial(ws, echoes=echoes)}


async def within_limit(
    stream: Callable[[Target], Awaitable[None]], target: Target, *, seconds: float
) -> None:
    """One stream from its beginning to its end. Raises LostError."""
    try:
        async with asyncio.timeout(seconds):
            await stream(target)
    except TimeoutError as error:
        raise LostError("timeout", f"no end after {seconds:g} s") from error
