"""Files of a host over one SFTP session, in the words of Python: paths, modes and OSError.

SFTP's third version, which OpenSSH speaks, has one word for most failures; so a failed write asks for the
room that is left, and says when there is none. What goes beyond that version is there in OpenSSH: a rename
that replaces and a second name for a file, without which nothing is put, and flushing, of a folder too, which
a server may lack.

A host without SFTP is refused with the line that its server lacks. (Going by `tar` and a shell instead was
dropped: it would be a second way to do each act, and the less used one is the one that is wrong.)
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import TypeVar, cast

import asyncssh

from events.kernel.errors import OutsideError, Where, error_code
from projections.transport.ssh_connection import SshConnection

HOST_SFTP_MISSING = error_code("host-sftp-missing", "A host's SSH server takes no files.")

_FOLDER_MODE = 0o755
_ERRNO: tuple[tuple[type[asyncssh.SFTPError], int], ...] = (
    (asyncssh.SFTPNoSuchFile, errno.ENOENT),
    (asyncssh.SFTPNoSuchPath, errno.ENOENT),
    (asyncssh.SFTPPermissionDenied, errno.EACCES),
    (asyncssh.SFTPWriteProtect, errno.EROFS),
    (asyncssh.SFTPOpUnsupported, errno.EOPNOTSUPP),
    (asyncssh.SFTPNoSpaceOnFilesystem, errno.ENOSPC),
    (asyncssh.SFTPQuotaExceeded, errno.EDQUOT),
    (asyncssh.SFTPFileAlreadyExists, errno.EEXIST),
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at a path."""

    mode: int  # kind and permissions, as `os.stat` has them
    size: int

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a link."""
        return stat.S_ISLNK(self.mode)

    @property
    def permissions(self) -> int:
        """The bits of `chmod`."""
        return stat.S_IMODE(self.mode)


class Sftp:
    """One session. Each method raises OSError, and asyncssh's own errors when the connection is lost."""

    def __init__(self, client: asyncssh.SFTPClient) -> None:
        self._client = client

    def close(self) -> None:
        """Give it back."""
        self._client.exit()

    async def stat(self, path: PurePath) -> Found | None:
        """What a path leads to, None for nothing."""
        return await self._found(path, self._client.stat)

    async def lstat(self, path: PurePath) -> Found | None:
        """What stands at a path, a link as a link; None for nothing."""
        return await self._found(path, self._client.lstat)

    async def listing(self, path: PurePath) -> dict[str, Found]:
        """What a folder holds, by name."""
        names = await self._asked(path, self._client.readdir(str(path)))
        return {
            str(name.filename): _as_found(name.attrs) for name in names if name.filename not in {".", ".."}
        }

    async def read(self, path: PurePath, *, size: int) -> bytes:
        """The first `size` bytes of a file."""
        if not size:
            return b""
        async with self._opened(path, "rb") as file:
            return await self._asked(path, _read(file, size))

    async def create(self, path: PurePath, content: bytes, *, mode: int) -> None:
        """A new file, flushed, and read back: what the host answers is what was sent."""
        async with self._opened(path, "xb+", mode=0o600) as file:
            await self._asked(path, file.write(content))
            await self._asked(path, file.chmod(mode))
            await self._flushed(path, file)
            if content and await self._asked(path, _read(file, len(content))) != content:
                raise OSError(errno.EIO, "the host answers other bytes than it was given", str(path))

    async def write_over(self, path: PurePath, content: bytes) -> None:
        """Give a file that is there another content; readers never see it empty."""
        async with self._opened(path, "rb+") as file:
            await self._asked(path, file.write(content))
            await self._asked(path, file.truncate(len(content)))
            await self._flushed(path, file)

    async def flush(self, folder: PurePath) -> None:
        """Make the names in a folder durable."""
        async with self._opened(folder, "rb") as opened:
            await self._flushed(folder, opened)

    async def chmod(self, path: PurePath, mode: int) -> None:
        """Give it these permissions; a link is followed."""
        await self._asked(path, self._client.chmod(str(path), mode))

    async def rename(self, path: PurePath, to: PurePath) -> None:
        """Give it another name in one step, in place of a file or an empty folder there."""
        await self._asked(to, self._client.posix_rename(str(path), str(to)))

    async def link(self, path: PurePath, to: PurePath) -> None:
        """Give a file a second name."""
        await self._asked(to, self._client.link(str(path), str(to)))

    async def unlink(self, path: PurePath) -> None:
        """Take a file or a link away."""
        await self._asked(path, self._client.unlink(str(path)))

    async def mkdir(self, path: PurePath) -> None:
        """A new folder, for all to read whatever the account's umask is."""
        attrs = asyncssh.SFTPAttrs(permissions=_FOLDER_MODE)
        await self._asked(path, self._client.mkdir(str(path), attrs))
        await self.chmod(path, _FOLDER_MODE)

    async def make_folders(self, path: PurePath) -> None:
        """A folder and those above it, where they are missing, durably; what exists stays as it is."""
        found = await self.stat(path)
        if found is None:
            await self.make_folders(path.parent)
            try:
                await self.mkdir(path)
            except OSError:
                found = await self.stat(path)  # another one was faster
                if found is None:
                    raise
            else:
                await self.flush(path.parent)
                return
        if not found.is_folder:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))

    async def _found(
        self, path: PurePath, look: Callable[[str], Awaitable[asyncssh.SFTPAttrs]]
    ) -> Found | None:
        try:
            return _as_found(await self._asked(path, look(str(path))))
        except FileNotFoundError:
            return None

    @contextlib.asynccontextmanager
    async def _opened(
        self, path: PurePath, how: str, *, mode: int | None = None
    ) -> AsyncGenerator[asyncssh.SFTPClientFile]:
        attrs = asyncssh.SFTPAttrs() if mode is None else asyncssh.SFTPAttrs(permissions=mode)
        file = await self._asked(path, self._client.open(str(path), how, attrs))
        try:
            yield file
        finally:
            await self._asked(path, file.close())

    async def _flushed(self, path: PurePath, file: asyncssh.SFTPClientFile) -> None:
        async def flush() -> None:
            with contextlib.suppress(asyncssh.SFTPOpUnsupported):
                await file.fsync()

        await self._asked(path, flush())

    async def _asked(self, path: PurePath, answer: Awaitable[T]) -> T:
        """The answer, with SFTP's errors as the system's."""
        try:
            return await answer
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
            raise
        except OSError as error:  # of our own socket: it says nothing of a file
            raise asyncssh.SFTPConnectionLost(str(error)) from error
        except asyncssh.SFTPError as error:
            raise await self._in_words(path, error) from error

    async def _in_words(self, path: PurePath, error: asyncssh.SFTPError) -> OSError:
        for kind, number in _ERRNO:
            if isinstance(error, kind):
                return OSError(number, os.strerror(number), str(path))
        if await self._is_full(path.parent):
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return OSError(errno.EIO, f"the host's SFTP server said only: {error.reason}", str(path))

    async def _is_full(self, folder: PurePath) -> bool:
        try:
            room = await self._client.statvfs(str(folder))
        except asyncssh.SFTPError:
            return False
        return room.bavail == 0 or (room.files > 0 and room.favail == 0)


async def open_sftp(connection: SshConnection, *, seconds: float) -> Sftp:
    """A session. Raises OutsideError `host-sftp-missing`, or with a code in `HOST_SILENT`."""

    async def start(opened: asyncssh.SSHClientConnection) -> asyncssh.SFTPClient:
        return await opened.start_sftp_client()

    try:
        return Sftp(await connection.use(start, seconds=seconds, again=True))
    except (asyncssh.ChannelOpenError, asyncssh.SFTPError) as error:
        raise OutsideError(
            HOST_SFTP_MISSING,
            f"the SSH server of {connection.settings.login} takes no files",
            where=Where(host=connection.host),
            why=str(error),
            next="add `Subsystem sftp internal-sftp` to /etc/ssh/sshd_config there and reload sshd",
        ) from error


async def _read(file: asyncssh.SFTPClientFile, size: int) -> bytes:
    """The beginning of a file that was opened without an encoding."""
    reading = cast("Callable[[int, int], Awaitable[bytes]]", file.read)  # it has either text or bytes
    return await reading(size, 0)


def _as_found(attrs: asyncssh.SFTPAttrs) -> Found:
    return Found(attrs.permissions or 0, attrs.size or 0)
