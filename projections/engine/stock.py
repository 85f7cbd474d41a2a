"""What an engine holds beside containers: images from an archive, networks and named volumes by label.

Deploying never needs this. It is for whoever brings images without a registry and takes a whole Compose
project away again, volumes included, so it stands apart from the `Engine` port: what deploys and heals
cannot reach for the removal of a volume. `destroy` is given this, as the port `Stock`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from events.manifest import KEPT_IMAGES
from projections.engine.api import Answer, DockerApi
from projections.engine.errors import engine_refused, shown

COMPOSE_PROJECT_LABEL = "com.docker.compose.project"
_PIECE_BYTES = 1 << 20
LOAD_SILENCE_SECONDS = 120.0  # an engine says nothing while it unpacks a layer

T = TypeVar("T")


class Calling(Protocol):
    """Runs a call of the engine's API in a thread; `DockerEngine` has it."""

    async def __call__(
        self, what: str, call: Callable[[DockerApi], T], *, seconds: float | None = None
    ) -> T | None:
        """The answer, None when the engine has no such thing. Raises OutsideError as every call does."""
        ...


class EngineStock:
    """Images, networks and volumes of one engine."""

    def __init__(self, find: Calling) -> None:
        self._find = find

    async def load(self, archive: Iterable[bytes]) -> None:
        """Take in every image of an archive. Raises OutsideError `engine-refused` with the engine's words."""

        def load(api: DockerApi) -> None:
            for line in api.load_image(iter(archive)):  # a list would be taken for form fields
                if error := line.get("error"):
                    raise engine_refused("load the images", shown(str(error)))

        await self._find("load the images", load, seconds=LOAD_SILENCE_SECONDS)

    async def save(self, image: str, take: Callable[[bytes], bool]) -> None:
        """Hand out an image as an archive; see `ImageCarrier.save`."""

        def save(api: DockerApi) -> bool:
            return all(take(piece) for piece in api.get_image(image, _PIECE_BYTES)) or True

        if await self._find(f"save image {image}", save, seconds=LOAD_SILENCE_SECONDS) is None:
            raise engine_refused(f"save image {image}", f"No such image: {image}")

    async def images(self, label: str) -> dict[str, tuple[str, ...]]:
        """Ids of all images with a label, `key` or `key=value`, each with its tags."""
        found = await self._find(
            "list its images", lambda api: api.images(all=True, filters={"label": label})
        )
        return {str(one["Id"]): tuple(one.get("RepoTags") or ()) for one in found or ()}

    async def remove_image(self, image_id: str) -> None:
        """Remove an image under all its tags. One that is gone is as good; one in use is refused."""
        await self._find(f"remove image {image_id}", lambda api: api.remove_image(image_id, force=True))

    async def image_names(self) -> dict[str, str]:
        """The names of ours that images have, each with the image's id."""
        filters = {"reference": f"{KEPT_IMAGES}*/*"}
        found = await self._find("list its images", lambda api: api.images(all=False, filters=filters))
        return {
            str(name): str(one["Id"])
            for one in found or ()
            for name in one.get("RepoTags") or ()
            if str(name).startswith(KEPT_IMAGES)
        }

    async def forget_image(self, name: str, *, pulled_as: str | None = None) -> None:
        """Take a name from an image, which goes with its last one; see `Stock.forget_image`."""

        def forget(api: DockerApi) -> None:
            tags = api.inspect_image(name).get("RepoTags") or ()
            api.remove_image(name, force=False)
            if pulled_as is not None and set(tags) == {name}:
                api.remove_image(pulled_as, force=False)

        await self._find(f"forget image {name}", forget)

    async def networks(self, compose_project: str) -> dict[str, str]:
        """`{id: name}` of a Compose project's networks."""
        found = await self._find("list its networks", lambda api: api.networks(filters=_of(compose_project)))
        return {str(one["Id"]): str(one["Name"]) for one in found or ()}

    async def remove_network(self, network_id: str) -> None:
        """Remove a network that no container is on. One that is gone is as good."""
        await self._find(f"remove network {network_id}", lambda api: api.remove_network(network_id))

    async def volumes(self, compose_project: str) -> tuple[str, ...]:
        """Names of a Compose project's volumes, sorted."""
        found = await self._find("list its volumes", lambda api: api.volumes(filters=_of(compose_project)))
        listed: list[Answer] = (found or {}).get("Volumes") or []
        return tuple(sorted(str(one["Name"]) for one in listed))

    async def remove_volume(self, name: str) -> None:
        """Remove a named volume with its data: for a caller who has a recorded reason to."""
        await self._find(f"remove volume {name}", lambda api: api.remove_volume(name))


def _of(compose_project: str) -> Mapping[str, Any]:
    return {"label": f"{COMPOSE_PROJECT_LABEL}={compose_project}"}
