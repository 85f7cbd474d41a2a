"""Files that change in place while containers have them mounted, over SFTP.

    <root>/<service>/<slot>/…        what is mounted: a whole folder, or the one file in it
    <root>/<service>/<slot>.kept     a second name of that one file

They mean the same as on this machine (`local_live.py`): a file that is mounted by itself is
written over and never replaced, and its second name brings it back where an editor replaced it; in a mounted
folder each file is exchanged in one step. Whether two names are of one file is the one question that SFTP has
no word for, so a shell of the host is asked. No folder is entered through a link, as far as looking before
each step goes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import PurePath

from events.blobs import MAX_BLOB_BYTES, BlobStore
from events.manifest import FileEntry, FileTree, LiveMount
from projections.transport.levels import Level
from projections.transport.ssh_sftp import Found, Sftp

_FILE_MODE, _PROGRAM_MODE, _FOLDER_MODE = 0o644, 0o755, 0o755
_ASIDE = ".aside"  # beside the slots, so that no container sees it


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlaces:
    """The live places of one host, during one act. Everything raises OSError."""

    sftp: Sftp
    same_file: Callable[[PurePath, PurePath], Awaitable[bool]]
    remove: Callable[[PurePath], Awaitable[None]]  # a folder with all that is in it

    async def is_as_wanted(self, root: PurePath, mount: LiveMount, tree: FileTree) -> bool:
        """See `HostFiles.live_is_as_wanted`."""
        own, inside, kept = _places(root, mount)
        try:
            if not await self._are_folders(root, own, inside):
                return False
            if mount.file is None:
                return await self._holds(inside, Level.of(tree))
            (entry,) = tree.entries
            place = inside / entry.path
            return await self._says(place, entry) and await self._is_one_file(kept, place)
        except OSError:
            return False

    async def put(
        self, root: PurePath, mount: LiveMount, tree: FileTree, *, blobs: BlobStore
    ) -> tuple[str, ...]:
        """See `HostFiles.put_live`."""
        own, inside, kept = _places(root, mount)
        await self.sftp.make_folders(root)
        await self._enter(own)
        await self._enter(inside)
        if mount.file is not None:
            (entry,) = tree.entries
            content = await asyncio.to_thread(blobs.get, entry.blob)
            changed = await self._put_one(kept, inside / entry.path, entry, content=content)
            return (mount.target,) if changed else ()
        paths = await self._fill(inside, Level.of(tree), aside=own / _ASIDE, blobs=blobs)
        return tuple(f"{mount.target.rstrip('/')}/{path}" for path in paths)

    async def make_service_folder(self, root: PurePath, service: str) -> None:
        """See `HostFiles.make_live_folder`."""
        await self.sftp.make_folders(root)
        await self._enter(root / service)

    async def _are_folders(self, *paths: PurePath) -> bool:
        found = await asyncio.gather(*(self.sftp.lstat(path) for path in paths))
        return all(one is not None and one.is_folder for one in found)

    async def _holds(self, folder: PurePath, wanted: Level) -> bool:
        """Whether a folder holds what is wanted and nothing else."""
        there = await self.sftp.listing(folder)
        if set(there) != {*wanted.files, *wanted.folders}:
            return False
        if not all(there[name].is_folder for name in wanted.folders):
            return False
        files = [self._says(folder / name, entry, there[name]) for name, entry in wanted.files.items()]
        folders = [self._holds(folder / name, level) for name, level in wanted.folders.items()]
        return all(await asyncio.gather(*files, *folders))

    async def _says(self, path: PurePath, entry: FileEntry, found: Found | None = None) -> bool:
        """Whether it is a plain file with the content and the mode of `entry`."""
        there = found or await self.sftp.lstat(path)
        if there is None or not there.is_file or there.permissions != _mode(entry):
            return False
        if there.size > MAX_BLOB_BYTES:
            return False
        content = await self.sftp.read(path, size=there.size)
        return f"sha256:{hashlib.sha256(content).hexdigest()}" == entry.blob

    async def _is_one_file(self, kept: PurePath, place: PurePath) -> bool:
        found = await self.sftp.lstat(kept)
        return found is not None and found.is_file and await self.same_file(kept, place)

    async def _fill(self, folder: PurePath, wanted: Level, *, aside: PurePath, blobs: BlobStore) -> list[str]:
        """Make a folder hold what is wanted and nothing else; answers the paths that were not so, sorted."""
        there = await self.sftp.listing(folder)
        changed = [name for name in there if name not in {*wanted.files, *wanted.folders}]
        for name in changed:
            await self._take_away(folder / name, there[name])
        for name, entry in wanted.files.items():
            found = there.get(name)
            if found is None or not await self._says(folder / name, entry, found):
                await self._exchange(folder / name, entry, found, aside=aside, blobs=blobs)
                changed.append(name)
        for name, level in wanted.folders.items():
            await self._enter(folder / name)
            below = await self._fill(folder / name, level, aside=aside, blobs=blobs)
            changed += [f"{name}/{path}" for path in below]
        await self.sftp.flush(folder)
        return sorted(changed)

    async def _exchange(
        self,
        path: PurePath,
        entry: FileEntry,
        found: Found | None,
        *,
        aside: PurePath,
        blobs: BlobStore,
    ) -> None:
        content = await asyncio.to_thread(blobs.get, entry.blob)
        await self._take_away(aside, await self.sftp.lstat(aside))
        await self.sftp.create(aside, content, mode=_mode(entry))
        if found is not None and found.is_folder:
            await self._take_away(path, found)
        await self.sftp.rename(aside, path)

    async def _put_one(self, kept: PurePath, place: PurePath, entry: FileEntry, *, content: bytes) -> bool:
        """Bring the single file of a place to its content; whether a container saw anything else."""
        created = False
        found, there = await asyncio.gather(self.sftp.lstat(kept), self.sftp.lstat(place))
        if found is None or not found.is_file:
            await self._take_away(kept, found)
            if there is not None and there.is_file:
                await self.sftp.link(place, kept)
            else:
                await self.sftp.create(kept, content, mode=_mode(entry))
                created = True
        if not (there is not None and there.is_file and await self.same_file(kept, place)):
            await self._take_away(place, there)
            await self.sftp.link(kept, place)
        await asyncio.gather(self.sftp.flush(place.parent), self.sftp.flush(kept.parent))
        return await self._write_over(kept, content, mode=_mode(entry)) or created

    async def _write_over(self, path: PurePath, content: bytes, *, mode: int) -> bool:
        """Give the very file another content; whether it had another one."""
        found = await self.sftp.lstat(path)
        if found is not None and found.permissions != mode:
            await self.sftp.chmod(path, mode)
        same = found is not None and found.size == len(content)
        if same and await self.sftp.read(path, size=len(content)) == content:
            return False
        await self.sftp.write_over(path, content)
        return True

    async def _enter(self, path: PurePath) -> None:
        """A folder that is made where it is missing, in place of anything else."""
        found = await self.sftp.lstat(path)
        if found is not None and not found.is_folder:
            await self._take_away(path, found)
            found = None
        if found is None:
            await self.sftp.mkdir(path)
            await self.sftp.flush(path.parent)
        elif found.permissions != _FOLDER_MODE:
            await self.sftp.chmod(path, _FOLDER_MODE)

    async def _take_away(self, path: PurePath, found: Found | None) -> None:
        if found is None:
            return
        if found.is_folder:
            await self.remove(path)
        else:
            await self.sftp.unlink(path)


def _places(root: PurePath, mount: LiveMount) -> tuple[PurePath, PurePath, PurePath]:
    """The service's own folder, the place in it, and the second name of its one file."""
    service, slot = mount.place.split("/")
    own = root / service
    return own, own / slot, own / f"{slot}.kept"


def _mode(entry: FileEntry) -> int:
    return _PROGRAM_MODE if entry.executable else _FILE_MODE
