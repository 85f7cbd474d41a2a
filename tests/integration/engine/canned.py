"""Engines that answer what a healthy one cannot be made to answer.

`CannedEngine` speaks HTTP on a socket and says what it was told to; it knows nothing of containers. Whatever
a real engine can be brought to say is tested with a real one.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import cast

Answer = tuple[int, object]  # status and JSON; a tuple is sent as lines of progress, None in it is silence


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        engine = self.server
        assert isinstance(engine, _Server)
        path = self.path.partition("?")[0].removeprefix("/v1.41")
        engine.asked.append(f"{self.command} {path}")
        status, value = engine.next_answer(f"{self.command} {path}")
        if status == 0:
            engine.silence.wait()
        elif isinstance(value, tuple):
            self._head(status, "Transfer-Encoding", "chunked")
            for line in cast("tuple[object, ...]", value):
                if line is None:
                    engine.silence.wait()
                data = json.dumps(line).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.write(b"0\r\n\r\n")
        else:
            body = json.dumps(value).encode()
            self._head(status, "Content-Length", str(len(body)))
            self.wfile.write(body)

    def _head(self, status: int, header: str, value: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header(header, value)
        self.end_headers()

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815  # names that the base class calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's word
        del format, args

    def address_string(self) -> str:
        return "socket"


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, answers: Mapping[str, Sequence[Answer]]) -> None:
        super().__init__(str(path), _Handler)
        version: Answer = (200, {"ApiVersion": "1.41", "Version": "canned"})
        self._answers = {"GET /version": [version], **{key: list(given) for key, given in answers.items()}}
        self.asked: list[str] = []
        self.silence = threading.Event()
        self._connections: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        self._connections.append(connection)
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asked has gone, which is what some tests are about."""
        del request, client_address
        error = sys.exc_info()[1]
        assert isinstance(error, OSError), error

    def hang_up(self) -> None:
        """Close what is open, as the end of a process does."""
        self.silence.set()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def next_answer(self, key: str) -> Answer:
        answers = self._answers.get(key, [(404, {"message": f"no such thing: {key}"})])
        return answers.pop(0) if len(answers) > 1 else answers[0]


class CannedEngine:
    """What was asked of it, and where it is."""

    def __init__(self, server: _Server, address: str) -> None:
        self._server = server
        self.address = address

    @property
    def asked(self) -> list[str]:
        """`METHOD /path`, in order, without the version and the query."""
        return list(self._server.asked)


@contextlib.contextmanager
def canned_engine(folder: Path, answers: Mapping[str, Sequence[Answer]]) -> Generator[CannedEngine]:
    """An engine that gives these answers by `METHOD /path`, the last of a list for ever.

    Status 0 is an answer that never comes.
    """
    path = folder / "canned.sock"
    with _Server(path, answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield CannedEngine(server, f"unix://{path}")
        finally:
            server.shutdown()
            server.hang_up()
            thread.join()
