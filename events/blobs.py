"""Bytes by digest: Manifests and the files of a commit that a host needs.

The digest names the content, so a blob is written once and never changed. An event refers to it by
digest; the blob may go after its retention, the digest in the log stays verifiable.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from events.kernel.canonical import sha256_digest
from events.kernel.errors import OutsideError, UserError, Where, error_code
from events.kernel.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

BLOB_MISSING = error_code("blob-missing", "Bytes that the log refers to are not in the blob store.")
BLOB_DAMAGED = error_code("blob-damaged", "Stored bytes do not match the digest that names them.")
BLOB_TOO_LARGE = error_code("blob-too-large", "A file or a Manifest is larger than the store takes.")
BLOBS_UNAVAILABLE = error_code("blobs-unavailable", "The folder of blobs cannot be read or written.")

MAX_BLOB_BYTES = 16 * 1024 * 1024
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class BlobStore(Protocol):
    """A content-addressed store of bytes."""

    def put(self, content: bytes) -> str:
        """Keep `content` durably and answer its digest.

        Raises UserError `blob-too-large` and OutsideError `blobs-unavailable`.
        """
        ...

    def get(self, digest: str) -> bytes:
        """The bytes. Raises OutsideError `blob-missing`, `blob-damaged` or `blobs-unavailable`."""
        ...

    def has(self, digest: str) -> bool:
        """Whether something is here under this name; `get` tells whether it is whole."""
        ...


def _checked_size(content: bytes) -> bytes:
    if len(content) > MAX_BLOB_BYTES:
        raise UserError(BLOB_TOO_LARGE, f"{len(content)} bytes are more than the limit of {MAX_BLOB_BYTES}")
    return content


def _checked_content(digest: str, content: bytes) -> bytes:
    if sha256_digest(content) != digest:
        raise OutsideError(BLOB_DAMAGED, f"the stored bytes of {digest} are not what its name says")
    return content


class MemoryBlobStore:
    """Blobs in a dictionary."""

    def __init__(self) -> None:
        self._content: dict[str, bytes] = {}

    def put(self, content: bytes) -> str:
        """Keep `content` and answer its digest."""
        digest = sha256_digest(_checked_size(content))
        self._content[digest] = content
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of `digest`."""
        if digest not in self._content:
            raise OutsideError(BLOB_MISSING, f"no blob {digest}")
        return _checked_content(digest, self._content[digest])

    def has(self, digest: str) -> bool:
        """Whether the bytes are here."""
        return digest in self._content


class FileBlobStore:
    """Blobs as files `<folder>/<2 hex>/<62 hex>`, beside the log's database; folders are private."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, content: bytes) -> str:
        """Write `content` unless it is here whole and answer its digest; damaged bytes are mended."""
        digest = sha256_digest(_checked_size(content))
        path = self._path(digest)
        with self._translated():
            if not (path.is_file() and path.read_bytes() == content):
                write_atomically(path, content, mode=0o600, folder_mode=0o700)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of `digest`, checked against it."""
        if not self.has(digest):
            raise OutsideError(BLOB_MISSING, f"no blob {digest}", where=Where(file=str(self._folder)))
        with self._translated():
            content = self._path(digest).read_bytes()
        return _checked_content(digest, content)

    def has(self, digest: str) -> bool:
        """Whether something is here under this name."""
        with self._translated():
            return _DIGEST.fullmatch(digest) is not None and self._path(digest).is_file()

    def _path(self, digest: str) -> Path:
        name = digest.removeprefix("sha256:")
        return self._folder / name[:2] / name[2:]

    @contextmanager
    def _translated(self) -> Generator[None]:
        """Turn what the file system raises into `blobs-unavailable`."""
        try:
            yield
        except OSError as error:
            raise OutsideError(
                BLOBS_UNAVAILABLE,
                "the folder of blobs cannot be used",
                where=Where(file=str(self._folder)),
                why=str(error),
                next=f"look at {self._folder}: is it readable and writable, and has its disk room?",
            ) from error
