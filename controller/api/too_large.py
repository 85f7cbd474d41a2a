"""The answer to a body that is too large, which is given before the body has come.

Whoever waits for leave to send it, or reads while they write, has the answer at once. Others only read when
they have written everything, and a connection that is closed with bytes still unread is reset, answer and
all: so what still comes is thrown away for a while, a piece at a time, and then the connection ends.
"""

from __future__ import annotations

import asyncio
import contextlib

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

_MOST_BYTES = 64 * 1024 * 1024
_SECONDS = 10.0


class TooLarge(JSONResponse):
    """Status 413, and the end of the connection."""

    def __init__(self, content: dict[str, str]) -> None:
        super().__init__(content, status_code=413, headers={"Connection": "close"})

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, then let what is on its way come."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS):
                await _thrown_away(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _thrown_away(receive: Receive) -> None:
    count, more = 0, True
    while more and count <= _MOST_BYTES:
        message = await receive()
        count += len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
