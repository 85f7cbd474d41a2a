"""The HTTP server of the controller, in its own event loop.

It is bound before anything else happens, so that an address in use ends the start and not a running
controller. The address is one of this machine unless the operator names another; a proxy in front has the
certificate. Signals stay with the controller: the server is ended with the loop that runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from events.kernel.errors import OutsideError, Where, error_code

LISTEN_FAILED = error_code(
    "listen-failed", "The address that the controller should answer on cannot be used."
)

_MOST_CONNECTIONS = 200
_IDLE_SECONDS = 5
_GRACE_SECONDS = 3
_MOST_HEADER_BYTES = 16 * 1024
_BACKLOG = 128


@dataclass(slots=True, kw_only=True)
class Server:
    """Answers `routes` on one socket; belongs to one event loop."""

    routes: Sequence[BaseRoute]
    listening: socket.socket
    _server: _Uvicorn = field(init=False)

    def __post_init__(self) -> None:
        self._server = _Uvicorn(
            uvicorn.Config(
                Starlette(routes=list(self.routes)),
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
                h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
            )
        )

    @property
    def address(self) -> str:
        """`HOST:PORT`, with the port that was taken."""
        host, port = self.listening.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def run(self) -> None:
        """Answer until this is cancelled; requests under way get a moment."""
        serving = asyncio.create_task(self._server.serve(sockets=[self.listening]))
        try:
            await asyncio.shield(serving)
        finally:
            self._server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
            self.listening.close()


def listen(address: str) -> socket.socket:
    """Take an address, `HOST:PORT`. Raises OutsideError `listen-failed`."""
    host, _colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        family, kind, number, _name, place = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        taken = socket.socket(family, kind, number)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(place)
            taken.listen(_BACKLOG)
        except BaseException:
            taken.close()
            raise
    except OSError as error:
        raise OutsideError(
            LISTEN_FAILED,
            f"cannot listen on {address}",
            where=Where(file="controller.yml", key="listen"),
            why=str(error),
            next="name a free address of this machine at `listen`",
        ) from error
    return taken


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the controller."""
        yield
