"""One call over HTTP/2 in TLS whose lines and answers go on side by side, as a stream of gRPC.

By hand on a socket, because no client that is here can say a line, wait for its answer and say the next one
in the same request. What stands in the answer's headers is not read but for its status.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Generator
from dataclasses import dataclass
from io import BufferedIOBase

from tests.support.stream_app import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD_BYTES,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    STATUS_200,
    frame,
)

_RESET = 3
_STREAM = 1
_POST, _ROOT, _HTTPS, _AUTHORITY = b"\x83", b"\x84", b"\x87", b"\x01"  # in the static table of HPACK


class CutError(Exception):
    """The call, or its connection, was ended by the other side."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is open."""

    wire: BufferedIOBase

    def say(self, line: str) -> str:
        """The answer to a line. Raises CutError."""
        self._send(frame(DATA, 0, _STREAM, f"{line}\n".encode()))
        kind, _, content = self._next()
        if kind == HEADERS:
            if not content.startswith(STATUS_200):
                raise CutError("its status is not 200")
            kind, _, content = self._next()
        if kind != DATA:
            raise CutError(f"a frame of kind {kind} in place of an answer")
        return content.decode().strip()

    def end(self) -> bool:
        """Say that nothing more comes; whether the answer then ends as a whole. Raises CutError."""
        self._send(frame(DATA, END_STREAM, _STREAM))
        kind, flags, _ = self._next()
        return kind == HEADERS and bool(flags & END_STREAM)

    def begin(self, name: str) -> None:
        """Ask for `/` of a host name."""
        authority = name.encode()
        head = _POST + _ROOT + _HTTPS + _AUTHORITY + bytes([len(authority)]) + authority
        self._send(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, _STREAM, head))

    def _send(self, content: bytes) -> None:
        self.wire.write(content)
        self.wire.flush()

    def _next(self) -> tuple[int, int, bytes]:
        """The next frame of the call: kind, flags, content; what is the connection's own is seen to."""
        while True:
            head = self.wire.read(HEAD_BYTES)
            if len(head) < HEAD_BYTES:
                raise CutError("the connection is closed")
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            content = self.wire.read(int.from_bytes(head[:3], "big"))
            if kind in {SETTINGS, PING} and not flags & ACK:
                self._send(frame(kind, ACK, 0, content if kind == PING else b""))
            if kind in {_RESET, GOAWAY}:
                raise CutError("it is reset")
            if stream == _STREAM and kind in {HEADERS, DATA}:
                return kind, flags, content


@contextlib.contextmanager
def http2_call(port: int, name: str, context: ssl.SSLContext, *, seconds: float) -> Generator[Call]:
    """A call to a gateway on this machine; `seconds` is the longest wait for an answer."""
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=seconds) as plain,
        context.wrap_socket(plain, server_hostname=name) as safe,
        safe.makefile("rwb") as wire,
    ):
        assert safe.selected_alpn_protocol() == "h2"
        call = Call(wire)
        call.begin(name)
        yield call
