"""Asking a container at its own address: does it take connections, what does it answer to a GET.

The question goes straight to the address, from this machine or from the engine's: no proxy of the
environment, no name to resolve, no redirect followed, so nothing that a container answers leads anywhere
else. All of it runs on the event loop under one deadline, since a thread that waits for a container which
hangs would be missed elsewhere; the protocol is h11's. Of an answer no more than its beginning is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Protocol

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
from projections.transport.local_dial import from_here
from projections.transport.port import HostConnection

_HEAD_BYTES = 16 * 1024  # of status line and headers
_INTERIM = 5  # responses of 1xx before the real one
_BODY_SECONDS = 0.5  # for the first line of an answer that fails; its status is known by then
_CLOSED = "the connection was closed without an answer"


class Connect(Protocol):
    """Makes connections that begin on the engine's machine."""

    async def __call__(self, address: str, port: int, *, seconds: float) -> HostConnection:
        """One connection. Raises OSError."""
        ...


async def dial(
    probe: HttpProbe | TcpProbe,
    addresses: Sequence[str],
    *,
    deadline_seconds: float,
    connect: Connect = from_here,
) -> ProbeAnswer:
    """The answer of the first of `addresses` that takes connections; whatever hinders it is an answer.

    What `connect` raises beside OSError passes.
    """
    if not addresses:
        return hindered(probe, NO_NETWORK)
    try:
        async with asyncio.timeout(deadline_seconds):
            stream = await _open(connect, addresses, probe.port, seconds=deadline_seconds)
            try:
                return accepted(probe) if isinstance(probe, TcpProbe) else await _get(probe, stream)
            finally:
                stream.close()
    except TimeoutError:
        return too_late(probe, deadline_seconds)
    except OSError as error:
        return hindered(probe, _words(error))
    except h11.RemoteProtocolError as error:
        return hindered(probe, f"what came back is no HTTP: {error}")


async def _open(connect: Connect, addresses: Sequence[str], port: int, *, seconds: float) -> HostConnection:
    """A connection to one of several addresses. Raises the OSError of the last one."""
    *others, last = addresses
    for address in others:
        with contextlib.suppress(OSError):
            return await connect(address, port, seconds=seconds)
    return await connect(last, port, seconds=seconds)


async def _get(probe: HttpProbe, stream: HostConnection) -> ProbeAnswer:
    talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
    request = h11.Request(
        method="GET",
        target=probe.path,
        headers=[("Host", host_of(probe)), ("User-Agent", "stagecraft"), ("Connection", "close")],
    )
    await stream.write((talk.send(request) or b"") + (talk.send(h11.EndOfMessage()) or b""))
    for _ in range(_INTERIM + 1):
        event = await _next(talk, stream)
        if isinstance(event, h11.Response):
            answer = status_answer(probe, event.status_code, b"")
            return answer if answer.passed else await _with_body(probe, talk, stream, event.status_code)
        if not isinstance(event, h11.InformationalResponse):
            return hindered(probe, _CLOSED)
    return hindered(probe, f"more than {_INTERIM} interim responses")


async def _with_body(
    probe: HttpProbe, talk: h11.Connection, stream: HostConnection, status: int
) -> ProbeAnswer:
    """The same with what the response says, as far as that comes at once."""
    body = b""
    with contextlib.suppress(TimeoutError, OSError, h11.RemoteProtocolError):
        async with asyncio.timeout(_BODY_SECONDS):
            while len(body) < KEPT_BYTES and isinstance(data := await _next(talk, stream), h11.Data):
                body += bytes(data.data)
    return status_answer(probe, status, body[:KEPT_BYTES])


async def _next(talk: h11.Connection, stream: HostConnection) -> object:
    """The next event that is more than a wish for data. Raises OSError, h11.RemoteProtocolError."""
    while (event := talk.next_event()) is h11.NEED_DATA:
        data = await stream.read(KEPT_BYTES)
        if not data and talk.their_state is h11.SEND_RESPONSE:
            raise ConnectionAbortedError(_CLOSED)
        talk.receive_data(data)
    return event


def _words(error: OSError) -> str:
    """The system's own words without the address, which is the container's and nobody else's."""
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
