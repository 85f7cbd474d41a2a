"""Recorded Manifests of a home, for readers that open nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.blobs import FileBlobStore
from events.manifest import Manifest

if TYPE_CHECKING:
    from controller.home import Home


def recorded_manifest(home: Home, digest: str | None) -> Manifest | None:
    """The Manifest of this digest, None for None. Raises OutsideError `blob-missing` or `blob-damaged`."""
    return None if digest is None else Manifest.decode(FileBlobStore(home.blobs).get(digest))
