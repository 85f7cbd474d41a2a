"""The real server with its webhooks on the loopback, for the time of one story."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from controller.api.hooks import Hooks
from controller.api.server import Server, listen
from tests.support.time import FakeClock

SECRET = b"between the two of us"
PATH = "/hooks/github/shop-1a2b"


def signed(body: bytes, secret: bytes = SECRET) -> dict[str, str]:
    return {"X-Hub-Signature-256": f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"}


@dataclass
class House:
    hooks: Hooks
    client: httpx.AsyncClient
    address: str
    clock: FakeClock
    woken: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    said: list[str] = field(default_factory=list[str])

    async def post(self, body: bytes = b"{}", *, path: str = PATH, secret: bytes = SECRET) -> httpx.Response:
        return await self.client.post(path, content=body, headers=signed(body, secret))


@asynccontextmanager
async def serving() -> AsyncGenerator[House]:
    woken: list[tuple[str, str]] = []
    said: list[str] = []
    clock = FakeClock()
    hooks = Hooks(
        secrets={"shop-1a2b": {"github": (SECRET,), "gitlab": (b"token",)}},
        wake=lambda slug, reason: woken.append((slug, reason)),
        clock=clock,
        say=said.append,
    )
    server = Server(routes=hooks.routes(), listening=listen("127.0.0.1:0"))
    running = asyncio.create_task(server.run())
    try:
        async with httpx.AsyncClient(
            base_url=f"http://{server.address}", timeout=60, trust_env=False
        ) as client:
            yield House(
                hooks=hooks, client=client, address=server.address, clock=clock, woken=woken, said=said
            )
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def run(story: Callable[[House], Awaitable[None]]) -> None:
    async def told() -> None:
        async with serving() as house:
            await story(house)

    asyncio.run(told())
