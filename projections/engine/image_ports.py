"""The ports to engines that carry images to hosts, or build and push them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from projections.engine.port import Image


class ImageCarrier(Protocol):
    """Images of one engine as archives, for hosts that get them from no registry.

    Apart from `Stock`: whoever deploys is given this and no way to a volume.
    """

    async def save(self, image: str, take: Callable[[bytes], bool]) -> None:
        """Hand out an image as an archive, piece by piece, until `take` says that nobody wants more.

        `take` is called in a thread and may block. Raises OutsideError `engine-refused` when the engine has
        no such image.
        """
        ...

    async def load(self, archive: Iterable[bytes]) -> None:
        """Take in every image of an archive, which is read in a thread.

        Raises OutsideError `engine-refused` with the engine's words.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecipe:
    """What an image is built from."""

    tag: str  # `repository:tag` that it gets
    context: Path  # a tar archive on this machine
    dockerfile: str  # its name in the archive
    args: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    target: str | None = None  # None: the last stage
    platform: str | None = None  # None: the engine's own


class ImageBuilder(Protocol):
    """An engine that builds and pushes images; apart from `Engine`, because convergers do neither."""

    async def image(self, ref: str) -> Image | None:
        """An image the engine has, by tag, digest or id; None when it has none."""
        ...

    async def build(self, recipe: ImageRecipe, *, seconds: float, told: Callable[[str], None]) -> Image:
        """Build an image; `told` gets each line that the builder says, printable, from another thread.

        Raises UserError `build-failed` with the last lines, OutsideError `image-not-found` or
        `registry-unreachable` for a base image, `build-timed-out`, `engine-unreachable`.
        """
        ...

    async def push(self, ref: str, *, seconds: float) -> None:
        """Push a tag to its registry. Raises OutsideError `push-failed` or `engine-unreachable`."""
        ...
