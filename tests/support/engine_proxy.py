"""A Docker engine behind another socket: one that hangs, is gone, or is another engine than it was.

The product is told of it by DOCKER_HOST, as a person would. What is behind it is the real engine: bytes pass
as they are, but for the engine's id in answers, which may be another one of the same length.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from tests.support.engine import SOCKET

_CHUNK_BYTES = 65536
_END_SECONDS = 10.0


@contextlib.contextmanager
def hanging_engine(path: Path) -> Generator[str]:
    """The address of an engine that takes connections and never answers."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(64)
        yield f"unix://{path}"


@contextlib.contextmanager
def renamed_engine(path: Path, engine_id: str) -> Generator[str]:
    """The address of the real engine under another id: as if it had been set up anew."""
    proxy = _Proxy(path, was=engine_id.encode(), now=(engine_id[:-4] + "ZZZZ").encode())
    thread = threading.Thread(target=proxy.serve, name="engine-proxy")
    thread.start()
    try:
        yield f"unix://{path}"
    finally:
        proxy.stop()
        thread.join(_END_SECONDS)


@dataclass(slots=True)
class CuttableEngine:
    """The real engine at a socket that may go away and come back, as a host does that is cut off."""

    path: Path
    _serving: tuple[_Proxy, threading.Thread] | None = None

    @property
    def url(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.path}"

    def heal(self) -> None:
        """Be there; nothing happens when it is."""
        if self._serving is None:
            proxy = _Proxy(self.path, was=b"", now=b"")
            thread = threading.Thread(target=proxy.serve, name="engine-proxy")
            thread.start()
            self._serving = (proxy, thread)

    def cut(self) -> None:
        """End all connections and take no more."""
        if self._serving is not None:
            proxy, thread = self._serving
            self._serving = None
            proxy.stop()
            thread.join(_END_SECONDS)
            self.path.unlink()


@contextlib.contextmanager
def cuttable_engine(path: Path) -> Generator[CuttableEngine]:
    """One that is there, and gone at the end."""
    engine = CuttableEngine(path)
    engine.heal()
    try:
        yield engine
    finally:
        engine.cut()


class _Proxy:
    def __init__(self, path: Path, *, was: bytes, now: bytes) -> None:
        self._was, self._now = was, now
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(64)
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def serve(self) -> None:
        """Take connections until `stop`."""
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                break
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(str(SOCKET))
            self._open += [client, engine]
            for source, sink, answers in ((client, engine, False), (engine, client, True)):
                thread = threading.Thread(target=self._copy, args=(source, sink, answers))
                thread.start()
                self._threads.append(thread)
        for thread in self._threads:
            thread.join(_END_SECONDS)

    def stop(self) -> None:
        """End all connections."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _copy(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:  # noqa: FBT001  # a thread's
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                sink.sendall(data.replace(self._was, self._now) if answers else data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
