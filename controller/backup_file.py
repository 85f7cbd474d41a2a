"""The form of a backup: one tar file, and at its end a manifest that says what must be in it.

    events.db  actors.db  controller.yml  blobs/<2 hex>/<62 hex>  keys/<name>  manifest.json

The log alone must be there. The manifest stands last, so that each file is read once, and so that a backup
that was cut off has none. It has the digest of each file and of itself: a bit that turned on a disk is found
when the backup is read, not when what was restored is used.

A reader takes no name but these and nothing but plain files, whatever an archive says, so that a backup from
elsewhere cannot write beside the folder it is unpacked into. Any tar program can look into one.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from events.kernel.canonical import digest_of
from events.kernel.errors import OutsideError, Where, error_code
from events.kernel.files import make_folders

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

BACKUP_DAMAGED = error_code(
    "backup-damaged", "A file is no backup, or is cut off, or is not what its manifest says."
)
BACKUP_TOO_NEW = error_code("backup-too-new", "A backup was made by a newer Stagecraft.")

VERSION = 1
PREFIX, SUFFIX = "stagecraft-", ".tar"  # of the name of a backup that was given none; the time is in between
LOG, NAMES, SETTINGS, MANIFEST = "events.db", "actors.db", "controller.yml", "manifest.json"
_ALLOWED = re.compile(
    r"events\.db|actors\.db|controller\.yml|manifest\.json|blobs/[0-9a-f]{2}/[0-9a-f]{62}|keys/[A-Za-z0-9_][\w.-]*"
)
_CHUNK_BYTES = 1024 * 1024
_MAX_MANIFEST_BYTES = 256 * 1024 * 1024  # of a million files


class Packed(BaseModel):
    """One file of a backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=0)]  # bytes
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """What is in a backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["stagecraft-backup"] = "stagecraft-backup"
    version: int = VERSION
    made_at: datetime
    log_id: str
    lineage: str
    position: int  # of the newest event
    hash: str  # the chain up to there, hex
    problem: dict[str, Any] | None  # why the log does not verify; None: it does
    names: bool  # whether the names behind pseudonyms are in it
    keys: bool
    files: dict[str, Packed]  # by their names in the archive

    def encode(self) -> bytes:
        """The bytes of `manifest.json`."""
        told = self.model_dump_json(indent=1)
        return f'{{\n"digest": "{_self_digest(self)}",\n"manifest": {told}\n}}\n'.encode()


def _self_digest(manifest: Manifest) -> str:
    return digest_of(manifest.model_dump(mode="json"))


class BackupWriter:
    """Adds files to an archive that is being written; raises OSError."""

    def __init__(self, file: IO[bytes], *, made_at: datetime) -> None:
        self._archive = tarfile.TarFile(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)
        self._made_at = made_at
        self.files: dict[str, Packed] = {}

    def add(self, name: str, path: Path) -> Packed:
        """Add the file at `path` as it is."""
        with path.open("rb") as file:
            size = path.stat().st_size
            hashing = _Hashing(file)
            self._archive.addfile(self._about(name, size), hashing)
        self.files[name] = Packed(size=size, digest=hashing.digest)
        return self.files[name]

    def end(self, manifest: Manifest) -> None:
        """Add the manifest and the end of the archive."""
        content = manifest.encode()
        self._archive.addfile(self._about(MANIFEST, len(content)), io.BytesIO(content))
        self._archive.close()

    def _about(self, name: str, size: int) -> tarfile.TarInfo:
        told = tarfile.TarInfo(name)
        told.size, told.mode, told.mtime = size, 0o600, int(self._made_at.timestamp())
        return told


class _Hashing(io.RawIOBase):
    """A file that is digested while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        content = self._file.read(size)
        self._hash.update(content)
        return content

    @property
    def digest(self) -> str:
        """Of what was read so far."""
        return f"sha256:{self._hash.hexdigest()}"


def unpack(path: Path, into: Path | None) -> Manifest:
    """Check a backup whole; its files are written below `into` unless that is None.

    Raises OutsideError `backup-damaged` and `backup-too-new`, naming the first file that is not as it should
    be, and OSError for what cannot be written; what was written until then is left to the caller.
    """
    found: dict[str, Packed] = {}
    manifest: Manifest | None = None
    with _opened(path) as archive:
        for member in _members(archive, path):
            if manifest is not None or member.name in found:
                raise damaged(path, f"{member.name} stands where nothing more should")
            content = _content(archive, member, path)
            if member.name == MANIFEST:
                manifest = _decoded(content.read(_MAX_MANIFEST_BYTES), path)
            else:
                found[member.name] = _unpacked(content, None if into is None else into / member.name, path)
    if manifest is None:
        raise damaged(path, "it has no manifest, so it was cut off" if found else "it holds nothing")
    _compare(manifest, found, path)
    return manifest


def _unpacked(content: IO[bytes], target: Path | None, path: Path) -> Packed:
    hashing, size = _Hashing(content), 0
    if target is None:
        while chunk := _read(hashing, path):
            size += len(chunk)
        return Packed(size=size, digest=hashing.digest)
    make_folders(target.parent, mode=0o700)
    with target.open("xb") as file:
        target.chmod(0o600)
        while chunk := _read(hashing, path):
            size += file.write(chunk)
    return Packed(size=size, digest=hashing.digest)


def _read(content: _Hashing, path: Path) -> bytes:
    try:
        return content.read(_CHUNK_BYTES)
    except (tarfile.TarError, EOFError) as error:
        raise damaged(path, f"it is cut off: {error}") from error


def _compare(manifest: Manifest, found: dict[str, Packed], path: Path) -> None:
    for name, packed in manifest.files.items():
        if name not in found:
            raise damaged(path, f"{name} is missing")
        if found[name] != packed:
            raise damaged(path, f"{name} is not as it was when the backup was made")
    strange = found.keys() - manifest.files.keys()
    if strange:
        raise damaged(path, f"{min(strange)} is not named by the manifest")
    if LOG not in found:
        raise damaged(path, "it has no log")


def _decoded(content: bytes, path: Path) -> Manifest:
    try:
        told = _Envelope.model_validate_json(content)
        version: Any = told.manifest.get("version")
        if isinstance(version, int) and version > VERSION:
            raise OutsideError(
                BACKUP_TOO_NEW,
                f"the backup has version {version}, this Stagecraft knows {VERSION}",
                where=Where(file=str(path)),
                next="upgrade this Stagecraft to the one that made it",
            )
        manifest = Manifest.model_validate(told.manifest)
    except ValidationError as error:
        raise damaged(path, f"its manifest cannot be read: {error.errors()[0]['msg']}") from error
    if told.digest != _self_digest(manifest):
        raise damaged(path, "its manifest was changed")
    return manifest


class _Envelope(BaseModel):
    """`manifest.json`."""

    digest: str
    manifest: dict[str, Any]


@contextmanager
def _opened(path: Path) -> Generator[tarfile.TarFile]:
    try:
        archive = tarfile.TarFile(path, mode="r")
    except (tarfile.TarError, EOFError) as error:
        raise damaged(path, f"it is no tar file: {error}") from error
    except OSError as error:
        raise damaged(path, error.strerror or str(error)) from error
    with archive:
        yield archive


def _members(archive: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    """Plain files of names that a backup has."""
    while True:
        try:
            member = archive.next()
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise damaged(path, f"it is no whole tar file: {error}") from error
        if member is None:
            return
        if not member.isreg() or not _ALLOWED.fullmatch(member.name):
            raise damaged(path, f"{member.name[:200]!r} does not belong into a backup")
        yield member


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> IO[bytes]:
    content = archive.extractfile(member)
    if content is None:
        raise damaged(path, f"{member.name} has no content")
    return content


def damaged(path: Path, why: str) -> OutsideError:
    """The error about a backup that is not what it should be."""
    return OutsideError(
        BACKUP_DAMAGED,
        "the backup cannot be used; nothing was changed",
        where=Where(file=str(path)),
        why=why,
        next="take another backup",
    )


def newest_in(folder: Path) -> Path:
    """The newest backup of a folder, by its name. Raises OutsideError `backup-damaged` when there is none."""
    found = sorted(folder.glob(f"{PREFIX}*{SUFFIX}"))
    if not found:
        raise damaged(folder, f"no {PREFIX}*{SUFFIX} is in the folder")
    return found[-1]


def blob_digest(name: str) -> str | None:
    """The digest that a blob's name in the archive promises, None for what is no blob."""
    kind, _, rest = name.partition("/")
    return f"sha256:{rest.replace('/', '')}" if kind == "blobs" else None
