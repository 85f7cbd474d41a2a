"""Bringing an image from this machine's engine to a host that has no registry to get it from.

It goes as an archive through a pipe, piece by piece: nothing of it stands on a disk in between, and the
slower end makes the other one wait. Both ends end together: who has nobody to hand on to stops, and who gets
no more takes what came for all, which an engine refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO

from events.kernel.errors import OutsideError, error_code
from projections.engine.image_ports import ImageCarrier

IMAGE_NOT_CARRIED = error_code(
    "image-not-carried", "An image of this machine's engine could not be brought to a host."
)
_PIECE_BYTES = 1 << 16


async def carry(image: str, *, source: ImageCarrier, target: ImageCarrier) -> None:
    """Have `target` take in an image of `source`.

    Raises OutsideError `image-not-carried` for what went wrong at the source, else what the target raises.
    """
    reading, writing = os.pipe()
    reader, writer = os.fdopen(reading, "rb"), os.fdopen(writing, "wb")  # each closed by who uses it
    sent, taken = await asyncio.gather(
        _send(image, source, writer), _take(target, reader), return_exceptions=True
    )
    if isinstance(sent, OutsideError):
        raise OutsideError(
            IMAGE_NOT_CARRIED,
            "an image of this machine's engine could not be brought to a host",
            why=f"{sent.message}: {sent.why}" if sent.why else sent.message,
            next="look with `docker version` here, or push the image to a registry",
        ) from sent
    for ended in (sent, taken):
        if ended is not None:
            raise ended


async def _send(image: str, source: ImageCarrier, writer: BinaryIO) -> None:
    def take(piece: bytes) -> bool:
        try:
            writer.write(piece)
        except OSError:  # nobody reads any more, and says why
            return False
        return True

    try:
        await source.save(image, take)
    finally:
        await asyncio.to_thread(_close, writer)


async def _take(target: ImageCarrier, reader: BinaryIO) -> None:
    def pieces() -> Iterator[bytes]:
        while piece := reader.read(_PIECE_BYTES):
            yield piece

    try:
        await target.load(pieces())
    finally:
        reader.close()


def _close(writer: BinaryIO) -> None:
    with contextlib.suppress(OSError):  # what was left to write has no reader
        writer.close()
