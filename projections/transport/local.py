"""This machine as a host: its own file system and programs, without any connection.

Blocking calls run in threads. A program gets nothing of our environment but what finds and speaks: PATH, HOME
and the language.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import stat
import threading
from collections.abc import Collection, Sequence
from pathlib import Path, PurePath

from events.blobs import BlobStore
from events.kernel.files import write_atomically
from events.kernel.process import run
from events.manifest import FileTree, LiveMount
from projections.transport.asides import is_aside
from projections.transport.local_dial import LocalConnection, from_here
from projections.transport.local_live import is_as_wanted, make_service_folder, put
from projections.transport.local_ports import read_tables
from projections.transport.local_state import make_state_folder
from projections.transport.local_trees import write_tree
from projections.transport.port import BoundPort, Ran

_MACHINE_ID = Path("/etc/machine-id")
_SHOWN = ("PATH", "HOME", "LANG", "LC_ALL", "DOCKER_HOST")
_SIGNALLED = 128
_WRITING = threading.Lock()  # what is aside belongs to nobody then


class LocalFiles:
    """`HostFiles` of this machine."""

    async def read(self, path: PurePath, *, most: int) -> bytes | None:
        """See the port. The last part of the path may be a link."""
        return await asyncio.to_thread(read_file, Path(path), most=most)

    async def read_folder(self, path: PurePath, *, most: int) -> dict[str, bytes | None]:
        """See the port."""
        return await asyncio.to_thread(_read_folder, Path(path), most=most)

    async def write(self, path: PurePath, content: bytes, *, mode: int) -> None:
        """See the port."""
        await asyncio.to_thread(_write, Path(path), content, mode=mode)

    async def put_tree(self, path: PurePath, tree: FileTree, *, blobs: BlobStore) -> None:
        """See the port."""
        await asyncio.to_thread(write_tree, Path(path), tree, blobs=blobs)

    async def missing(self, paths: Collection[PurePath]) -> frozenset[PurePath]:
        """See the port."""
        return await asyncio.to_thread(_missing, tuple(paths))

    async def make_state_folders(self, root: PurePath, paths: Sequence[str]) -> None:
        """See the port."""
        await asyncio.to_thread(_make_state_folders, Path(root), tuple(paths))

    async def live_is_as_wanted(self, root: PurePath, mount: LiveMount, tree: FileTree) -> bool:
        """See the port."""
        return await asyncio.to_thread(is_as_wanted, Path(root), mount, tree)

    async def put_live(
        self, root: PurePath, mount: LiveMount, tree: FileTree, *, blobs: BlobStore
    ) -> tuple[str, ...]:
        """See the port."""
        return await asyncio.to_thread(put, Path(root), mount, tree, blobs=blobs)

    async def make_live_folder(self, root: PurePath, service: str) -> None:
        """See the port."""
        await asyncio.to_thread(make_service_folder, Path(root), service)

    async def remove(self, path: PurePath) -> None:
        """See the port."""
        await asyncio.to_thread(_remove, Path(path))


class LocalTransport:
    """`Transport` to this machine."""

    def __init__(self, host: str = "local") -> None:
        """`host` is what the registry calls it."""
        self._host = host
        self._files = LocalFiles()

    @property
    def host(self) -> str:
        """Its name."""
        return self._host

    @property
    def files(self) -> LocalFiles:
        """Its files."""
        return self._files

    @property
    def here(self) -> bool:
        """It is this machine."""
        return True

    async def open(self) -> None:
        """There is nothing to open."""

    async def run(
        self, argv: Sequence[str], *, seconds: float, stdin: bytes = b"", most: int = 1 << 20
    ) -> Ran:
        """See the port. Raises OutsideError `process-not-started` for a program that is not there."""
        shown = {name: os.environ[name] for name in _SHOWN if name in os.environ}
        done = await run(argv, env=shown, stdin=stdin, deadline_seconds=seconds, kept_bytes=most)
        code = done.code if done.code >= 0 else _SIGNALLED - done.code
        return Ran(code=code, stdout=done.stdout, stderr=done.stderr)

    async def dial(self, address: str, port: int, *, seconds: float) -> LocalConnection:
        """See the port."""
        return await from_here(address, port, seconds=seconds)

    async def offer_port(self, port: int) -> None:
        """It is there already."""

    async def bound_ports(self) -> frozenset[BoundPort]:
        """See the port."""
        return await asyncio.to_thread(read_tables)

    async def machine(self) -> str:
        """See the port."""
        return await asyncio.to_thread(_machine)

    def close(self) -> None:
        """There is nothing to close."""


def _machine() -> str:
    return _MACHINE_ID.read_text().strip() if _MACHINE_ID.is_file() else ""


def read_file(path: Path, *, most: int) -> bytes | None:
    """As `HostFiles.read`, for this machine. Blocking."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes", str(path))
    return content


def _read_folder(root: Path, *, most: int) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for folder, inside, names in os.walk(root):
        inside[:] = [name for name in inside if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if name.startswith(".") or not stat.S_ISREG(path.lstat().st_mode):
                continue
            try:
                content = read_file(path, most=most)
            except OSError:
                content = None
            found[path.relative_to(root).as_posix()] = content
    return found


def _write(path: Path, content: bytes, *, mode: int) -> None:
    with _WRITING:
        for leftover in path.parent.glob(".*"):
            if is_aside(leftover.name, of=path.name) and leftover.is_file() and not leftover.is_symlink():
                with contextlib.suppress(OSError):  # no reason not to write
                    leftover.unlink()
        write_atomically(path, content, mode=mode)


def _missing(paths: Sequence[PurePath]) -> frozenset[PurePath]:
    return frozenset(path for path in paths if not Path(path).is_dir())


def _make_state_folders(root: Path, paths: Sequence[str]) -> None:
    for path in paths:
        make_state_folder(root, path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
