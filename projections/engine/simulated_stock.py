"""What a simulated engine holds beside containers: the networks and volumes that its Compose made.

An external volume or network is nobody's project; it is not here and nothing removes it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from events.manifest import KEPT_IMAGES
from projections.engine.errors import engine_refused
from projections.engine.simulated_world import World

_PIECE_BYTES = 20


class Turns(Protocol):
    """Gives a turn with the world for one call."""

    def __call__(self, name: str, argument: str = "") -> AbstractAsyncContextManager[World]:
        """The turn. Raises OutsideError `engine-unreachable`."""
        ...


class SimulatedStock:
    """`Stock` of a simulated engine; ids of networks are their names."""

    def __init__(self, called: Turns) -> None:
        self._called = called

    async def save(self, image: str, take: Callable[[bytes], bool]) -> None:
        """Hand out an image; its archive says which one it is, in several pieces."""
        async with self._called("save", image) as world:
            found = world.has_image(image)
        if found is None:
            raise engine_refused(f"save image {image}", f"No such image: {image}")
        archive = json.dumps({"image": found}).encode()
        pieces = (archive[begin : begin + _PIECE_BYTES] for begin in range(0, len(archive), _PIECE_BYTES))
        await asyncio.to_thread(lambda: all(take(piece) for piece in pieces))

    async def load(self, archive: Iterable[bytes]) -> None:
        """Take in the image of an archive."""
        content = await asyncio.to_thread(lambda: b"".join(archive))
        async with self._called("load") as world:
            try:
                image: str = json.loads(content)["image"]
            except ValueError as error:
                raise engine_refused("load the images", "unexpected EOF") from error
            world.images[image] = image

    async def image_names(self) -> dict[str, str]:
        """The names of ours that images have, each with the image's id."""
        async with self._called("image_names") as world:
            return {name: image for name, image in world.images.items() if name.startswith(KEPT_IMAGES)}

    async def forget_image(self, name: str, *, pulled_as: str | None = None) -> None:
        """Take a name from an image, which goes with its last one."""
        async with self._called("forget_image", name) as world:
            image = world.images.get(name)
            if image is None:
                return
            left = {one for one, held in world.images.items() if held == image} - {name}
            digests = world.repo_digests.get(image, [])
            used = any(one.image_id == image for one in world.containers.values())
            if used and not left and not digests:
                raise engine_refused(f"forget image {name}", "a container is using its referenced image")
            del world.images[name]
            if pulled_as is None or any("@" not in one for one in left):
                return
            if used and len(digests) <= 1:
                raise engine_refused(f"forget image {name}", "a container is using its referenced image")
            world.repo_digests[image] = [one for one in digests if one != pulled_as]
            for one in left:
                if world.repo_digests[image] == []:
                    del world.images[one]

    async def networks(self, compose_project: str) -> dict[str, str]:
        """`{id: name}` of a Compose project's networks."""
        async with self._called("networks", compose_project) as world:
            return {name: name for name, project in world.networks.items() if project == compose_project}

    async def remove_network(self, network_id: str) -> None:
        """Remove a network that no container is on."""
        async with self._called("remove_network", network_id) as world:
            if any(network_id in one.networks for one in world.containers.values()):
                raise engine_refused(f"remove network {network_id}", "network has active endpoints")
            world.networks.pop(network_id, None)

    async def volumes(self, compose_project: str) -> tuple[str, ...]:
        """Names of a Compose project's volumes, sorted."""
        async with self._called("volumes", compose_project) as world:
            return tuple(sorted(name for name, owner in world.volumes.items() if owner == compose_project))

    async def remove_volume(self, name: str) -> None:
        """Remove a named volume."""
        async with self._called("remove_volume", name) as world:
            if any(name in one.volumes for one in world.containers.values()):
                raise engine_refused(f"remove volume {name}", "volume is in use")
            world.volumes.pop(name, None)
