"""What an image reference means, asked of the engine and through it of the registry.

An image that the engine holds without a digest of its own repository was built or loaded there by hand:
it is pinned by its id and no registry is asked. `pull_policy: never` asks no registry either. For all
others the registry decides, also when the engine holds a copy, because a copy may be old.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.kernel.errors import OutsideError
from events.manifest import ImagePin, kept_image_name
from projections.engine.errors import IMAGE_NOT_FOUND

if TYPE_CHECKING:
    from projections.engine.port import Engine, Image


@dataclass(frozen=True, slots=True)
class EngineCatalogue:
    """The image catalogue of one engine."""

    engine: Engine

    async def resolve(self, ref: str, *, pull_policy: str | None) -> ImagePin:
        """The pin of `ref` now.

        Raises OutsideError `image-not-found`, `registry-unreachable` or `engine-unreachable`.
        """
        here = await self.engine.image(ref)
        if here is not None and not _has_own_digest(here, ref):
            return ImagePin(ref=ref, pin=here.id, pin_kind="image-id")
        if pull_policy == "never":
            if here is None:
                raise OutsideError(
                    IMAGE_NOT_FOUND,
                    f"the engine has no image {ref} and its pull_policy is never",
                    why=f"No such image: {ref}",
                    next=f"build or load {ref} on the host",
                )
            return ImagePin(ref=ref, pin=here.id, pin_kind="image-id")
        return ImagePin(ref=ref, pin=await self.engine.registry_digest(ref), pin_kind="repo-digest")

    async def keep(self, pin: ImagePin, *, project: str, service: str) -> None:
        """Give a pinned image that the engine holds our own tag, so that no prune takes it."""
        held = await self.engine.image(pin.pin if pin.pin_kind == "image-id" else pin.pinned_text)
        if held is not None:
            await self.engine.tag(held.id, kept_image_name(pin, project=project, service=service))


def _has_own_digest(image: Image, ref: str) -> bool:
    """Whether the engine knows a registry digest of this image in the repository that `ref` names."""
    repository = _repository(ref)
    return any(_repository(digest) == repository for digest in image.repo_digests)


def _repository(ref: str) -> str:
    """The repository in the short form that engines show: of `docker.io/library/web:1` it is `web`."""
    name = ref.partition("@")[0]
    head, separator, last = name.rpartition("/")
    name = f"{head}{separator}{last.partition(':')[0]}"
    return name.removeprefix("docker.io/").removeprefix("library/")
