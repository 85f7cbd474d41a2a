"""The promises of the store of blobs, proven of each adapter."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from events.blobs import (
    BLOB_DAMAGED,
    BLOB_MISSING,
    BLOB_TOO_LARGE,
    BLOBS_UNAVAILABLE,
    MAX_BLOB_BYTES,
    BlobStore,
    FileBlobStore,
    MemoryBlobStore,
)
from events.kernel.errors import OutsideError, UserError

ABSENT = f"sha256:{'0' * 64}"


@pytest.fixture(params=["memory", "files"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return MemoryBlobStore() if request.param == "memory" else FileBlobStore(tmp_path / "blobs")


def refusal(blobs: BlobStore, digest: str) -> str:
    with pytest.raises(OutsideError) as raised:
        blobs.get(digest)
    return raised.value.code


@pytest.mark.parametrize("content", [b"", b"x", b"\x00\xff\r\n", b"long" * 50_000])
def test_what_was_put_comes_back_by_its_digest(blobs: BlobStore, content: bytes) -> None:
    digest = blobs.put(content)
    assert digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert blobs.get(digest) == content
    assert blobs.has(digest)


def test_putting_again_changes_nothing(blobs: BlobStore) -> None:
    assert blobs.put(b"same") == blobs.put(b"same")


@pytest.mark.parametrize(
    "digest", [ABSENT, "", "sha256:", "../../etc/passwd", "sha256:" + "A" * 64, f"{ABSENT}\n"]
)
def test_what_is_not_here_is_missing(blobs: BlobStore, digest: str) -> None:
    blobs.put(b"something else")
    assert not blobs.has(digest)
    assert refusal(blobs, digest) == BLOB_MISSING


def test_a_blob_has_a_size_limit(blobs: BlobStore) -> None:
    assert blobs.has(blobs.put(bytes(MAX_BLOB_BYTES)))
    with pytest.raises(UserError) as raised:
        blobs.put(bytes(MAX_BLOB_BYTES + 1))
    assert raised.value.code == BLOB_TOO_LARGE


def test_damage_is_seen_and_mended_by_the_next_put(tmp_path: Path) -> None:
    blobs = FileBlobStore(tmp_path)
    digest = blobs.put(b"content")
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    file.write_bytes(b"CONTENT")
    assert refusal(blobs, digest) == BLOB_DAMAGED
    assert blobs.put(b"content") == digest
    assert blobs.get(digest) == b"content"


def test_files_and_folders_are_private_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "blobs"
    digest = FileBlobStore(folder).put(b"content")
    name = digest.removeprefix("sha256:")
    made = {
        path.relative_to(tmp_path).as_posix(): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")
    }
    assert made == {
        "home": 0o700,
        "home/blobs": 0o700,
        f"home/blobs/{name[:2]}": 0o700,
        f"home/blobs/{name[:2]}/{name[2:]}": 0o600,
    }


def test_a_store_in_a_file_of_this_name_is_an_error_of_the_outside(tmp_path: Path) -> None:
    (tmp_path / "blobs").touch()
    with pytest.raises(OutsideError) as raised:
        FileBlobStore(tmp_path / "blobs").put(b"content")
    assert raised.value.code == BLOBS_UNAVAILABLE
    assert raised.value.where.file == str(tmp_path / "blobs")
    assert isinstance(raised.value.__cause__, OSError)
