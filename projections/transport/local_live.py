"""Files of a commit whose content changes in place, while containers have them mounted.

    <folder>/reload/<service>/<slot>/…        what is mounted: a whole folder, or the one file in it
    <folder>/reload/<service>/<slot>.kept     a second name of that one file

A mount of a single file holds on to the file itself, not to its name. So that file is written over and never
replaced; and because an editor replaces files, a second name keeps hold of the one that containers see, and
puts it back where it was. In a mounted folder names count, so there each file is exchanged in one step, and a
reader never sees a half.

Each step goes from one opened folder to the next and follows no link; what is no folder or no plain file
where one belongs is taken away. Everything is flushed when `put` returns. Running it again ends the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from events.blobs import MAX_BLOB_BYTES, BlobStore
from events.kernel.files import make_folders
from events.manifest import FileEntry, FileTree, LiveMount
from projections.transport.levels import Level

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OVER = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE, _PROGRAM_MODE, _FOLDER_MODE = 0o644, 0o755, 0o755
_ASIDE = ".aside"  # beside the slots, so that no container sees it


def is_as_wanted(root: Path, mount: LiveMount, tree: FileTree) -> bool:
    """Whether a container that has the place mounted sees `tree`; what cannot be read is not as wanted."""
    service, slot = mount.place.split("/")
    try:
        with _opened(root, None) as above, _opened(service, above) as own, _opened(slot, own) as inside:
            if mount.file is None:
                return _holds(inside, Level.of(tree))
            (entry,) = tree.entries
            held = _same_file(_kept(slot), own, entry.path, inside)
            return held and _says(entry.path, inside, entry)
    except OSError:
        return False


def put(root: Path, mount: LiveMount, tree: FileTree, *, blobs: BlobStore) -> tuple[str, ...]:
    """Make the place as wanted; answers the paths, as the container has them, that were not.

    Raises OSError, and OutsideError as `BlobStore.get`.
    """
    service, slot = mount.place.split("/")
    make_folders(root, mode=_FOLDER_MODE)
    with _opened(root, None) as above, _entered(service, above) as own, _entered(slot, own) as inside:
        if mount.file is not None:
            (entry,) = tree.entries
            changed = _put_one(own, slot, inside, entry, content=blobs.get(entry.blob))
            return (mount.target,) if changed else ()
        writer = _Writer(aside=own, blobs=blobs)
        paths = writer.fill(inside, Level.of(tree))
    return tuple(f"{mount.target.rstrip('/')}/{path}" for path in paths)


def make_service_folder(root: Path, service: str) -> None:
    """See to it that the folder of a service's places is there, and a folder. Raises OSError."""
    make_folders(root, mode=_FOLDER_MODE)
    with _opened(root, None) as above, _entered(service, above):
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Writer:
    """Fills the folders of one place; new files are made in `aside` and moved."""

    aside: int
    blobs: BlobStore

    def fill(self, folder: int, wanted: Level) -> list[str]:
        """Make `folder` hold what is wanted and nothing else; answers the paths that were not so, sorted."""
        changed = [name for name in os.listdir(folder) if name not in {*wanted.files, *wanted.folders}]
        for name in changed:
            _remove(name, folder)
        for name, entry in wanted.files.items():
            if not _says(name, folder, entry):
                self._exchange(name, folder, entry)
                changed.append(name)
        for name, level in wanted.folders.items():
            with _entered(name, folder) as inside:
                changed += [f"{name}/{path}" for path in self.fill(inside, level)]
        os.fsync(folder)
        return sorted(changed)

    def _exchange(self, name: str, folder: int, entry: FileEntry) -> None:
        content = self.blobs.get(entry.blob)
        _remove(_ASIDE, self.aside)
        _create(_ASIDE, self.aside, content, mode=_mode(entry))
        found = _found(name, folder)
        if found is not None and stat.S_ISDIR(found.st_mode):
            _remove(name, folder)
        os.rename(_ASIDE, name, src_dir_fd=self.aside, dst_dir_fd=folder)


def _put_one(own: int, slot: str, inside: int, entry: FileEntry, *, content: bytes) -> bool:
    """Bring the single file of a place to its content; whether a container saw anything else."""
    kept, name = _kept(slot), entry.path
    created = False
    if not _is_file(kept, own):
        _remove(kept, own)
        if _is_file(name, inside):
            os.link(name, kept, src_dir_fd=inside, dst_dir_fd=own, follow_symlinks=False)
        else:
            _create(kept, own, content, mode=_mode(entry))
            created = True
    if not _same_file(kept, own, name, inside):
        _remove(name, inside)
        os.link(kept, name, src_dir_fd=own, dst_dir_fd=inside, follow_symlinks=False)
    os.fsync(inside)
    os.fsync(own)
    return _write_over(kept, own, content, mode=_mode(entry)) or created


def _kept(slot: str) -> str:
    return f"{slot}.kept"


def _mode(entry: FileEntry) -> int:
    return _PROGRAM_MODE if entry.executable else _FILE_MODE


def _holds(folder: int, wanted: Level) -> bool:
    """Whether a folder holds what is wanted and nothing else. Raises OSError for what is missing."""
    if set(os.listdir(folder)) != {*wanted.files, *wanted.folders}:
        return False
    if not all(_says(name, folder, entry) for name, entry in wanted.files.items()):
        return False
    for name, level in wanted.folders.items():
        with _opened(name, folder) as inside:
            if not _holds(inside, level):
                return False
    return True


def _says(name: str, folder: int, entry: FileEntry) -> bool:
    """Whether it is a plain file with the content and the mode of `entry`."""
    if not _is_file(name, folder):
        return False
    with os.fdopen(os.open(name, _READ, dir_fd=folder), "rb") as file:
        found = os.fstat(file.fileno())
        if stat.S_IMODE(found.st_mode) != _mode(entry) or found.st_size > MAX_BLOB_BYTES:
            return False
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == entry.blob


def _write_over(name: str, folder: int, content: bytes, *, mode: int) -> bool:
    """Give the very file another content; whether it had another one. Readers never see it empty."""
    with os.fdopen(os.open(name, _READ, dir_fd=folder), "rb") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) != mode:
            os.fchmod(file.fileno(), mode)
        if file.read(len(content) + 1) == content:
            return False
    with os.fdopen(os.open(name, _OVER, dir_fd=folder), "wb") as file:
        file.write(content)
        file.truncate()  # flushes what was written first
        os.fsync(file.fileno())
    return True


def _create(name: str, folder: int, content: bytes, *, mode: int) -> None:
    with os.fdopen(os.open(name, _NEW, 0o600, dir_fd=folder), "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())


def _same_file(one: str, folder: int, other: str, other_folder: int) -> bool:
    first, second = _found(one, folder), _found(other, other_folder)
    if first is None or second is None or not stat.S_ISREG(first.st_mode):
        return False
    return os.path.samestat(first, second)


def _is_file(name: str, folder: int) -> bool:
    found = _found(name, folder)
    return found is not None and stat.S_ISREG(found.st_mode)


def _found(name: str, folder: int) -> os.stat_result | None:
    """What stands there, a link as a link; None for nothing."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    return None


def _remove(name: str, folder: int) -> None:
    """Take away whatever stands there."""
    found = _found(name, folder)
    if found is None:
        return
    if stat.S_ISDIR(found.st_mode):
        shutil.rmtree(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)


@contextlib.contextmanager
def _entered(name: str, above: int) -> Generator[int]:
    """A folder that is made where it is missing, in place of anything else."""
    found = _found(name, above)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        _remove(name, above)
        found = None
    if found is None:
        os.mkdir(name, dir_fd=above)
        os.fsync(above)
    with _opened(name, above) as folder:
        if stat.S_IMODE(os.fstat(folder).st_mode) != _FOLDER_MODE:
            os.fchmod(folder, _FOLDER_MODE)
        yield folder


@contextlib.contextmanager
def _opened(name: Path | str, above: int | None) -> Generator[int]:
    descriptor = os.open(name, _FOLDER, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
