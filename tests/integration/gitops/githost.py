"""A Git server over HTTP: the real `git http-backend`, which may ask for a name and a word, or be in trouble.

A trouble is what the server does in place of, or to, a right answer. It comes over every question, or only
over packs, which a client asks for when it has seen something new.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from typing_extensions import override

BACKEND_SECONDS = 30
_POLL_SECONDS = 0.02  # how late an end is seen
_SILENT_SECONDS = 120.0  # at most; a test that needs so long has failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong with a server; one of these, or none."""

    status: int | None = None  # that is the answer
    headers: tuple[tuple[str, str], ...] = ()  # of that answer
    silent: bool = False  # no word more is said until the client goes
    cut: bool = False  # the connection ends
    lie: tuple[str, str] | None = None  # one commit is named in place of another
    in_packs: bool = False  # the trouble comes when half of a pack is sent, and before not at all


@dataclass
class GitHost:
    """What is served and to whom."""

    root: Path
    user: str = ""  # nobody in particular: everybody is answered
    word: str = ""
    redirect: str | None = None  # send everybody there instead
    protocol: str | None = None  # that is spoken; None: what the client asks for
    redirect_packs: str | None = None  # send those there who are let in and ask for what there is
    moved: tuple[str, str] | None = None  # how a path begins that is answered with another of this server
    trouble: Trouble = field(default_factory=Trouble)
    closing: threading.Event = field(default_factory=threading.Event)  # whoever is silent may end
    authorizations: set[str] = field(
        default_factory=set[str]
    )  # each Authorization header that came, "" for none
    requests: list[str] = field(default_factory=list[str])  # what was asked for, in order


@contextlib.contextmanager
def serving(host: GitHost) -> Generator[int]:
    """The host answers on the port, on the loopback, for the time of the block."""

    class Handler(_Handler):
        served = host

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,))
    thread.start()
    try:
        yield int(server.server_port)
    finally:
        host.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: GitHost

    def do_GET(self) -> None:  # the server's name for it
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def _answer(self) -> None:
        given = self.headers.get("Authorization", "")
        self.served.authorizations.add(given)
        self.served.requests.append(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        expected = base64.b64encode(f"{self.served.user}:{self.served.word}".encode()).decode()
        if self.served.redirect is not None:
            self._say(302, ("Location", f"{self.served.redirect}{self.path}"))
        elif self.served.moved is not None and self.path.startswith(self.served.moved[0]):
            self._say(301, ("Location", self.path.replace(*self.served.moved, 1)))
        elif self.served.user and given != f"Basic {expected}":
            self._say(401, ("WWW-Authenticate", 'Basic realm="git"'))
        elif self.served.redirect_packs is not None and self.command == "POST":
            self._say(302, ("Location", f"{self.served.redirect_packs}{self.path}"))
        else:
            self._answer_in_trouble(body)

    def _answer_in_trouble(self, body: bytes) -> None:
        """As the backend does, but for what is wrong."""
        trouble = self.served.trouble
        if trouble.status is not None:
            self._say(trouble.status, *trouble.headers)
            return
        if (trouble.silent or trouble.cut) and not trouble.in_packs:
            self._fall_silent(trouble)
            return
        status, headers, content = self._backend(body)
        if trouble.lie is not None:
            truth, lie = trouble.lie
            content = content.replace(truth.encode(), lie.encode())
        self._say(status, *headers.items())
        if (trouble.silent or trouble.cut) and b"command=fetch" in body:
            self.wfile.write(content[: len(content) // 2])
            self._fall_silent(trouble)
            return
        self.wfile.write(content)

    def _say(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def _fall_silent(self, trouble: Trouble) -> None:
        """Say nothing until the client or the server ends; with `cut` end the connection at once."""
        self.wfile.flush()
        if trouble.silent:
            self.served.closing.wait(_SILENT_SECONDS)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _backend(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(self.path)
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            capture_output=True,
            check=False,  # it ends so when it has told the client what is wrong
            timeout=BACKEND_SECONDS,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.served.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_NOSYSTEM": "1",
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", "")
                if self.served.protocol is None
                else self.served.protocol,
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            },
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        return int(headers.pop("Status", "200").split()[0]), headers, content
