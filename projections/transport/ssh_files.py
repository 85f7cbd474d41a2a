"""The files of a host that is reached over SSH, in the whole acts of `HostFiles`.

Each act goes over one SFTP session per host, which is kept, and sends what does not depend on one another at
the same time, so that it waits for few round trips. What is put has a name of its own aside until all of it
is written, flushed and read back; so a connection that breaks, or a server that is killed, leaves something
that begins with a dot, which the next one takes away, and never a half under the name that counts. A digest
of a tree is proved by reading back what was sent: that needs no program on the host, and works for any name.

SFTP knows paths and no open folders. So where no link may be followed, each folder on the way is looked at
first; an app that puts a link there in that very moment is the engine's to see, as it is on this machine.

An act that is safe to repeat is repeated once when its connection breaks. To put a live place is not among
them: its answer says what changed, and the second time that would be less.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import PurePath
from typing import TypeVar

import asyncssh

from events.blobs import BlobStore
from events.kernel.errors import OutsideError, UserError, Where
from events.manifest import FileTree, LiveMount
from projections.transport.asides import aside, is_aside
from projections.transport.port import HOST_SILENT, STATE_IS_LINK
from projections.transport.ssh_connection import SshConnection
from projections.transport.ssh_live import LivePlaces
from projections.transport.ssh_loop import SshLoop
from projections.transport.ssh_run import run_program
from projections.transport.ssh_sftp import Found, Sftp, open_sftp

_ASK_SECONDS = 30.0  # an answer takes milliseconds
_PUT_SECONDS = 600.0  # a tree may be large and the way slow
_REMOVE_SECONDS = 600.0
_AT_ONCE = 16  # files of a tree under way together
_KEPT_BYTES = 4096  # of what `rm` says
_FILE_MODE, _PROGRAM_MODE, _FOLDER_MODE = 0o444, 0o555, 0o755

T = TypeVar("T")


class SshFiles:
    """`HostFiles` over SFTP."""

    def __init__(self, loop: SshLoop, connection: SshConnection) -> None:
        """The connection is somebody else's to close."""
        self._loop = loop
        self._connection = connection
        self._sftp: Sftp | None = None
        self._of = 0  # the connection that the session belongs to
        self._opening = asyncio.Lock()
        self._writing: set[PurePath] = set()  # names aside of files that are being written

    async def read(self, path: PurePath, *, most: int) -> bytes | None:
        """See `HostFiles.read`."""

        async def act(sftp: Sftp) -> bytes | None:
            found = await sftp.stat(path)
            if found is None:
                return None
            if not found.is_file:
                raise OSError(errno.EINVAL, "not a regular file", str(path))
            if found.size > most:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
            try:
                return await sftp.read(path, size=found.size)
            except FileNotFoundError:
                return None

        return await self._do(act, seconds=_ASK_SECONDS)

    async def read_folder(self, path: PurePath, *, most: int) -> dict[str, bytes | None]:
        """See `HostFiles.read_folder`."""
        turns = asyncio.Semaphore(_AT_ONCE)

        async def content(sftp: Sftp, one: PurePath, size: int) -> bytes | None:
            async with turns:
                try:
                    return await sftp.read(one, size=size) if size <= most else None
                except OSError:
                    return None

        async def files_of(sftp: Sftp, folder: PurePath, prefix: str) -> dict[str, bytes | None]:
            try:
                listed = await sftp.listing(folder)
            except (FileNotFoundError, NotADirectoryError):
                return {}
            seen = {name: one for name, one in listed.items() if not name.startswith(".")}
            names = sorted(name for name, one in seen.items() if one.is_file)
            read = await asyncio.gather(*(content(sftp, folder / name, seen[name].size) for name in names))
            found = {prefix + name: one for name, one in zip(names, read, strict=True)}
            for name in sorted(name for name, one in seen.items() if one.is_folder):
                found |= await files_of(sftp, folder / name, f"{prefix}{name}/")
            return found

        async def act(sftp: Sftp) -> dict[str, bytes | None]:
            return await files_of(sftp, path, "")

        return await self._do(act, seconds=_PUT_SECONDS)

    async def write(self, path: PurePath, content: bytes, *, mode: int) -> None:
        """See `HostFiles.write`."""

        async def act(sftp: Sftp) -> None:
            await sftp.make_folders(path.parent)
            beside = path.parent / aside(path.name)
            self._writing.add(beside)
            try:
                await asyncio.gather(sftp.create(beside, content, mode=mode), self._sweep(sftp, path))
                await sftp.rename(beside, path)
            except OSError:
                await _take_away(sftp, beside)
                raise
            finally:
                self._writing.discard(beside)
            await sftp.flush(path.parent)

        await self._do(act, seconds=_PUT_SECONDS)

    async def put_tree(self, path: PurePath, tree: FileTree, *, blobs: BlobStore) -> None:
        """See `HostFiles.put_tree`."""

        async def act(sftp: Sftp) -> None:
            if await _is_folder(sftp, path):
                return
            await sftp.make_folders(path.parent)
            for name in await sftp.listing(path.parent):
                if is_aside(name):
                    await self._remove_folder(path.parent / name)
            beside = path.parent / aside(path.name)
            try:
                await _fill(sftp, beside, tree, blobs)
                await sftp.rename(beside, path)
            except (OSError, OutsideError):
                with contextlib.suppress(OSError, OutsideError):
                    await self._remove_folder(beside)
                if not await _is_folder(sftp, path):
                    raise
            await sftp.flush(path.parent)

        await self._do(act, seconds=_PUT_SECONDS)

    async def missing(self, paths: Collection[PurePath]) -> frozenset[PurePath]:
        """See `HostFiles.missing`."""
        asked = tuple(paths)

        async def act(sftp: Sftp) -> frozenset[PurePath]:
            found = await asyncio.gather(*(sftp.stat(path) for path in asked))
            return frozenset(
                path for path, one in zip(asked, found, strict=True) if one is None or not one.is_folder
            )

        return await self._do(act, seconds=_ASK_SECONDS) if asked else frozenset()

    async def make_state_folders(self, root: PurePath, paths: Sequence[str]) -> None:
        """See `HostFiles.make_state_folders`."""

        async def act(sftp: Sftp) -> None:
            await sftp.make_folders(root)
            ways = [_way(root, path) for path in paths]
            steps = sorted({step for way in ways for step in way}, key=lambda step: (len(step.parts), step))
            found = await asyncio.gather(*(sftp.lstat(step) for step in steps))
            there = dict(zip(steps, found, strict=True))
            for way in ways:
                for step in way:
                    there[step] = await _state_folder(sftp, step, there[step], last=step == way[-1])

        await self._do(act, seconds=_PUT_SECONDS)

    async def live_is_as_wanted(self, root: PurePath, mount: LiveMount, tree: FileTree) -> bool:
        """See `HostFiles.live_is_as_wanted`."""

        async def act(sftp: Sftp) -> bool:
            return await self._live(sftp).is_as_wanted(root, mount, tree)

        return await self._do(act, seconds=_PUT_SECONDS)

    async def put_live(
        self, root: PurePath, mount: LiveMount, tree: FileTree, *, blobs: BlobStore
    ) -> tuple[str, ...]:
        """See `HostFiles.put_live`."""

        async def act(sftp: Sftp) -> tuple[str, ...]:
            return await self._live(sftp).put(root, mount, tree, blobs=blobs)

        return await self._do(act, seconds=_PUT_SECONDS, again=False)

    async def make_live_folder(self, root: PurePath, service: str) -> None:
        """See `HostFiles.make_live_folder`."""

        async def act(sftp: Sftp) -> None:
            await self._live(sftp).make_service_folder(root, service)

        await self._do(act, seconds=_ASK_SECONDS)

    async def remove(self, path: PurePath) -> None:
        """See `HostFiles.remove`."""

        async def act(sftp: Sftp) -> None:
            found = await sftp.lstat(path)
            if found is None:
                return
            if found.is_folder:
                await self._remove_folder(path)
            else:
                await _take_away(sftp, path)

        await self._do(act, seconds=_REMOVE_SECONDS)

    async def _do(self, act: Callable[[Sftp], Awaitable[T]], *, seconds: float, again: bool = True) -> T:
        """What `act` answers, done in the thread of SSH. Raises OSError and what the connection raises."""

        async def work(_: asyncssh.SSHClientConnection) -> T:
            return await act(await self._session())

        return await self._loop.run(self._used(work, seconds=seconds, again=again))

    async def _used(
        self, work: Callable[[asyncssh.SSHClientConnection], Awaitable[T]], *, seconds: float, again: bool
    ) -> T:
        try:
            return await self._connection.use(work, seconds=seconds, again=again)
        except OutsideError as error:
            if error.code in HOST_SILENT:
                self._drop()  # a session that hangs would hang for the next one too
            raise

    async def _session(self) -> Sftp:
        async with self._opening:
            if self._sftp is None or self._of != self._connection.made:
                self._sftp = await open_sftp(self._connection, seconds=_ASK_SECONDS)
                self._of = self._connection.made
            return self._sftp

    def _drop(self) -> None:
        session, self._sftp = self._sftp, None
        if session is not None:
            session.close()

    def _live(self, sftp: Sftp) -> LivePlaces:
        return LivePlaces(sftp=sftp, same_file=self._same_file, remove=self._remove_folder)

    async def _same_file(self, one: PurePath, other: PurePath) -> bool:
        """Whether two names are of one file, which SFTP cannot tell."""
        argv = ["sh", "-c", '[ "$1" -ef "$2" ]', "sh", str(one), str(other)]
        ran = await run_program(self._connection, argv, seconds=_ASK_SECONDS, stdin=b"", most=_KEPT_BYTES)
        return ran.code == 0

    async def _sweep(self, sftp: Sftp, path: PurePath) -> None:
        """Take away what broken writes of a file left beside it; those under way keep theirs.

        What cannot be taken away stays: it is no reason not to write.
        """
        for name, found in (await sftp.listing(path.parent)).items():
            left = path.parent / name
            if found.is_file and is_aside(name, of=path.name) and left not in self._writing:
                with contextlib.suppress(OSError):
                    await _take_away(sftp, left)

    async def _remove_folder(self, path: PurePath) -> None:
        """A folder with all that is in it, in one round trip; no link is followed."""
        argv = ["rm", "-rf", "--", str(path)]
        ran = await run_program(self._connection, argv, seconds=_REMOVE_SECONDS, stdin=b"", most=_KEPT_BYTES)
        if ran.code != 0:
            raise OSError(errno.EIO, ran.stderr.decode(errors="replace").strip() or "rm failed", str(path))


async def _is_folder(sftp: Sftp, path: PurePath) -> bool:
    found = await sftp.stat(path)
    return found is not None and found.is_folder


async def _take_away(sftp: Sftp, path: PurePath) -> None:
    try:
        await sftp.unlink(path)
    except FileNotFoundError:
        return


async def _fill(sftp: Sftp, folder: PurePath, tree: FileTree, blobs: BlobStore) -> None:
    """Make a folder with all of a tree in it, flushed."""
    places = {
        PurePath(*PurePath(entry.path).parts[:depth])
        for entry in tree.entries
        for depth in range(1, len(PurePath(entry.path).parts))
    }
    folders = [folder, *(folder / place for place in sorted(places, key=lambda place: len(place.parts)))]
    for one in folders:
        await sftp.mkdir(one)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def put(path: str, blob: str, mode: int) -> None:
        async with turns:
            content = await asyncio.to_thread(blobs.get, blob)
            await sftp.create(folder / path, content, mode=mode)

    try:
        async with asyncio.TaskGroup() as files:
            for entry in tree.entries:
                mode = _PROGRAM_MODE if entry.executable else _FILE_MODE
                files.create_task(put(entry.path, entry.blob, mode))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    await asyncio.gather(*(sftp.flush(one) for one in folders))


def _way(root: PurePath, path: str) -> list[PurePath]:
    """The folders on the way to `path` below `root`, the last one included."""
    parts = [part for part in path.split("/") if part]
    return [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]


async def _state_folder(sftp: Sftp, path: PurePath, found: Found | None, *, last: bool) -> Found:
    """See to it that a folder is there. Raises UserError `state-is-link`."""
    if found is None:
        try:
            await sftp.mkdir(path)
        except OSError:
            found = await sftp.lstat(path)  # the app was faster
            if found is None:
                raise
        else:
            return Found(0o040000 | _FOLDER_MODE, 0)
    if found.is_link:
        raise UserError(
            STATE_IS_LINK,
            f"{path} is a link; links in the state of an app are not followed",
            where=Where(file=str(path)),
            next=f"look at it with `ls -l {path}`, and put a folder in its place",
        )
    if not (found.is_folder or last):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    return found
