"""A Git server over HTTP that may ask for a name and a word: the real `git http-backend` behind it."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from typing_extensions import override

BACKEND_SECONDS = 30


@dataclass
class GitHost:
    """What is served and to whom."""

    root: Path
    user: str = ""  # nobody in particular: everybody is answered
    word: str = ""
    redirect: str | None = None  # send everybody there instead
    protocol: str | None = None  # that is spoken; None: what the client asks for
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
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield int(server.server_port)
    finally:
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
        expected = base64.b64encode(f"{self.served.user}:{self.served.word}".encode()).decode()
        if self.served.redirect is not None:
            self.send_response(302)
            self.send_header("Location", f"{self.served.redirect}{self.path}")
            self.end_headers()
        elif self.served.user and given != f"Basic {expected}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
        else:
            self._run_backend()

    def _run_backend(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
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
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
