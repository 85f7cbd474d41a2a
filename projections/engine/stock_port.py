"""The port to what an engine holds of a Compose project beside containers."""

from __future__ import annotations

from typing import Protocol


class Stock(Protocol):
    """What an engine holds of a Compose project beside containers; apart from `Engine`, for a reason.

    A converger that deploys or heals is given no way to a volume: only `destroy` is.
    """

    async def networks(self, compose_project: str) -> dict[str, str]:
        """`{id: name}` of a Compose project's networks."""
        ...

    async def remove_network(self, network_id: str) -> None:
        """Remove a network that no container is on. One that is gone is as good."""
        ...

    async def volumes(self, compose_project: str) -> tuple[str, ...]:
        """Names of a Compose project's volumes, sorted."""
        ...

    async def remove_volume(self, name: str) -> None:
        """Remove a named volume with its data: for a caller who has a recorded reason to."""
        ...

    async def image_names(self) -> dict[str, str]:
        """The names of ours that images have (`events.manifest.kept_image_name`), with the images' ids."""
        ...

    async def forget_image(self, name: str, *, pulled_as: str | None = None) -> None:
        """Take a name from an image, which goes with its last one; never by force.

        Where no other tag is left, the digest that it was `pulled_as` is no reason to keep it. A name that
        is gone is as good. Raises OutsideError `engine-refused` for the last name of one that a container
        uses.
        """
        ...
