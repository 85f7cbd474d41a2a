"""Asking a container at its own address: does it take connections, what does it answer to a GET.

The question goes straight to the address: no proxy of the environment, no name to resolve, no redirect
followed, so nothing that a container answers leads anywhere else. All of it runs on the event loop under one
deadline, since a thread that waits for a container which hangs would be missed elsewhere; the protocol is
h11's. Of an answer no more than its beginning is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Sequence

import h11

from events.manifest import HttpProbe, TcpProbe
from projections.engine.port import ProbeAnswer
from projections.engine.probe_words import (
    KEPT_BYTES,
    NO_NETWORK,
    accepted,
    hindered,
    host_of,
    status_answer,
    too_late,
)

_HEAD_BYTES = 16 * 1024  # of status line and headers
_INTERIM = 5  # responses of 1xx before the real one
_BODY_SECONDS = 0.5  # for the first line of an answer that fails; its status is known by then
_CLOSED = "the connection was closed without an answer"

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def dial(
    probe: HttpProbe | TcpProbe, addresses: Sequence[str], *, deadline_seconds: float
) -> ProbeAnswer:
    """The answer of the first of `addresses` that takes connections; whatever hinders it is an answer."""
    if not addresses:
        return hindered(probe, NO_NETWORK)
    try:
        async with asyncio.timeout(deadline_seconds), _connected(addresses, probe.port) as streams:
            return accepted(probe) if isinstance(probe, TcpProbe) else await _get(probe, *streams)
    except TimeoutError:
        return too_late(probe, deadline_seconds)
    except OSError as error:
        return hindered(probe, _words(error))
    except h11.RemoteProtocolError as error:
        return hindered(probe, f"what came back is no HTTP: {error}")


@contextlib.asynccontextmanager
async def _connected(addresses: Sequence[str], port: int) -> AsyncGenerator[_Streams]:
    """A connection to one of several addresses. Raises the OSError of the last one."""
    streams = await _open(addresses, port)
    try:
        yield streams
    finally:
        streams[1].transport.abort()  # nothing more is to be said, and a close would wait for the other side


async def _open(addresses: Sequence[str], port: int) -> _Streams:
    *others, last = addresses
    for address in others:
        with contextlib.suppress(OSError):
            return await asyncio.open_connection(address, port)
    return await asyncio.open_connection(last, port)


async def _get(probe: HttpProbe, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> ProbeAnswer:
    talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
    request = h11.Request(
        method="GET",
        target=probe.path,
        headers=[("Host", host_of(probe)), ("User-Agent", "stagecraft"), ("Connection", "close")],
    )
    writer.write((talk.send(request) or b"") + (talk.send(h11.EndOfMessage()) or b""))
    await writer.drain()
    for _ in range(_INTERIM + 1):
        event = await _next(talk, reader)
        if isinstance(event, h11.Response):
            answer = status_answer(probe, event.status_code, b"")
            return answer if answer.passed else await _with_body(probe, talk, reader, event.status_code)
        if not isinstance(event, h11.InformationalResponse):
            return hindered(probe, _CLOSED)
    return hindered(probe, f"more than {_INTERIM} interim responses")


async def _with_body(
    probe: HttpProbe, talk: h11.Connection, reader: asyncio.StreamReader, status: int
) -> ProbeAnswer:
    """The same with what the response says, as far as that comes at once."""
    body = b""
    with contextlib.suppress(TimeoutError, OSError, h11.RemoteProtocolError):
        async with asyncio.timeout(_BODY_SECONDS):
            while len(body) < KEPT_BYTES and isinstance(data := await _next(talk, reader), h11.Data):
                body += bytes(data.data)
    return status_answer(probe, status, body[:KEPT_BYTES])


async def _next(talk: h11.Connection, reader: asyncio.StreamReader) -> object:
    """The next event that is more than a wish for data. Raises OSError, h11.RemoteProtocolError."""
    while (event := talk.next_event()) is h11.NEED_DATA:
        data = await reader.read(KEPT_BYTES)
        if not data and talk.their_state is h11.SEND_RESPONSE:
            raise ConnectionAbortedError(_CLOSED)
        talk.receive_data(data)
    return event


def _words(error: OSError) -> str:
    """The system's own words without the address, which is the container's and nobody else's."""
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
