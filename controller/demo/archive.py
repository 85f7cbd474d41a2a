"""Images as the archive that an engine loads: assembled from files of this machine, never built or pulled.

A build would need a base image from a registry, or a builder that differs from engine to engine; an archive
with the configuration, the layers and a table of contents is read by every engine. It is made as a stream:
its largest layers are files of 200 MB, which are hashed and sent, but copied nowhere. A layer that several
images share stands in it once. The same arguments give the same bytes, and so the same image ids.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

_BLOCK_BYTES = 512
_CHUNK_BYTES = 1024 * 1024
_END = bytes(2 * _BLOCK_BYTES)
_CREATED = "2000-01-01T00:00:00Z"  # a fixed moment, so that the id follows from the content alone


@dataclass(frozen=True)
class Layer:
    """Files of an image, all of which everybody may run: bytes, or a file of this machine, by path."""

    files: Mapping[str, bytes | Path]  # relative paths
    folders: tuple[str, ...] = ()  # for everybody to write into
    links: Mapping[str, str] = field(default_factory=dict[str, str])  # symbolic, path to target

    def chunks(self) -> Iterator[bytes]:
        """The layer's tar archive."""
        for path in self.folders:
            yield _header(path, size=0, mode=0o1777, kind=tarfile.DIRTYPE)
        for path, content in sorted(self.files.items()):
            yield from _member(path, _bytes_of(content), size=_size_of(content))
        for path, target in sorted(self.links.items()):
            yield _header(path, size=0, mode=0o755, kind=tarfile.SYMTYPE, target=target)
        yield _END

    @cached_property
    def size_bytes(self) -> int:
        """The length of the tar archive."""
        headers = len(self.files) + len(self.folders) + len(self.links)
        contents = sum(_padded(_size_of(content)) for content in self.files.values())
        return _BLOCK_BYTES * headers + contents + len(_END)

    @cached_property
    def digest(self) -> str:
        """The layer's name: 64 hex digits over its tar archive."""
        summed = hashlib.sha256()
        for chunk in self.chunks():
            summed.update(chunk)
        return summed.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image to be: its name, its layers, and its configuration in the words of the OCI image format."""

    reference: str  # repository:tag
    layers: tuple[Layer, ...]
    configuration: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def id(self, architecture: str) -> str:
        """The name an engine gives it, `sha256:…`."""
        return f"sha256:{hashlib.sha256(self.description(architecture)).hexdigest()}"

    def description(self, architecture: str) -> bytes:
        """The document whose digest is the image's id."""
        return json.dumps(
            {
                "architecture": architecture,
                "os": "linux",
                "created": _CREATED,
                "config": self.configuration,
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{one.digest}" for one in self.layers]},
                "history": [{"created": _CREATED, "created_by": "stagecraft"} for _ in self.layers],
            },
            sort_keys=True,
        ).encode()


def archive(images: Iterable[Image], *, architecture: str) -> Iterator[bytes]:
    """What an engine's `load` reads: all images, each layer once. `architecture` is `amd64` or `arm64`."""
    contents: list[dict[str, Any]] = []
    layers: dict[str, Layer] = {}
    for image in images:
        description = image.description(architecture)
        name = f"{image.id(architecture).removeprefix('sha256:')}.json"
        yield from _member(name, [description], size=len(description))
        layers |= {layer.digest: layer for layer in image.layers}
        paths = [f"{layer.digest}.tar" for layer in image.layers]
        contents.append({"Config": name, "RepoTags": [image.reference], "Layers": paths})
    for digest, layer in layers.items():
        yield from _member(f"{digest}.tar", layer.chunks(), size=layer.size_bytes)
    table = json.dumps(contents).encode()
    yield from _member("manifest.json", [table], size=len(table))
    yield _END


def _member(path: str, content: Iterable[bytes], *, size: int) -> Iterator[bytes]:
    yield _header(path, size=size, mode=0o755, kind=tarfile.REGTYPE)
    yield from content
    yield bytes(_padded(size) - size)


def _header(path: str, *, size: int, mode: int, kind: bytes, target: str = "") -> bytes:
    """One block, free of times and owners."""
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode, entry.type, entry.linkname = size, mode, kind, target
    return entry.tobuf(tarfile.USTAR_FORMAT)


def _padded(size: int) -> int:
    return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES


def _size_of(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _bytes_of(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            yield chunk
