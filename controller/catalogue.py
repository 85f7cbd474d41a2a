"""What an image reference means, asked of the engine and of the registry.

An image that the engine holds without a digest of its own repository was built or loaded there by hand:
it is pinned by its id and no registry is asked. `pull_policy: never` asks no registry either. For all
others the registry decides, also when the engine holds a copy, because a copy may be old.

The registry is asked from here: its answers have codes, platforms and a digest that can be counted, and no
engine is needed for it. An engine is asked in its place when the registry gives us no usable answer, because
the engine may know a mirror, a certificate or an insecure registry that we do not; it is the one to pull.
An engine that does not answer at all is never taken for one that has no image: that could let a public
image of the same name in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from controller.registry.manifests import lacking
from controller.registry.names import image_name
from events.kernel.errors import OutsideError, error_code
from events.manifest import ImagePin, kept_image_name
from projections.engine.errors import IMAGE_NOT_FOUND, REGISTRY_UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.registry.client import Found
    from gitops.pins import Lookup
    from projections.engine.port import Engine, Image

IMAGE_PLATFORM_MISSING = error_code(
    "image-platform-missing", "The registry has the image, but not for the platform of a host."
)


class Registries(Protocol):
    """Whoever asks registries; see `controller.registry.client`."""

    async def find(self, ref: str, *, known: str | None = None) -> Found:
        """What `ref` means now."""
        ...


@dataclass(slots=True)
class EngineCatalogue:
    """The images of one engine and of all registries."""

    engine: Engine
    registry: Registries | None = None  # None: the engine asks registries
    _platform: str | None = None  # of the engine; None: not asked yet

    async def resolve(self, ref: str, lookup: Lookup, *, known: str | None = None) -> ImagePin:
        """The pin of `ref` now; see `ImageCatalogue`.

        Raises OutsideError `image-not-found`, `image-platform-missing`, `registry-unreachable`,
        `credentials-unavailable` or `engine-unreachable`.
        """
        here = await self.engine.image(ref)
        if here is not None and not _has_own_digest(here, ref):
            return ImagePin(ref=ref, pin=here.id, pin_kind="image-id")
        if lookup.pull_policy == "never":
            if here is None:
                raise OutsideError(
                    IMAGE_NOT_FOUND,
                    f"the engine has no image {ref} and its pull_policy is never",
                    why=f"No such image: {ref}",
                    next=f"build or load {ref} on the host",
                )
            return ImagePin(ref=ref, pin=here.id, pin_kind="image-id")
        digest = await self._registry_digest(ref, lookup, known=known)
        return ImagePin(ref=ref, pin=digest, pin_kind="repo-digest")

    async def built(self, ref: str, *, pushed: bool) -> ImagePin | None:
        """The image whose name says what it was built from: by its registry if it is pushed, else by id.

        None when it is not built. Raises as `resolve`.
        """
        if not pushed:
            held = await self.engine.image(ref)
            return None if held is None else ImagePin(ref=ref, pin=held.id, pin_kind="image-id")
        try:
            digest = await self._registry_digest(ref, None, known=None)
        except OutsideError as error:
            if error.code != IMAGE_NOT_FOUND:
                raise
            return None
        return ImagePin(ref=ref, pin=digest, pin_kind="repo-digest")

    async def keep(self, pin: ImagePin, *, project: str, service: str) -> None:
        """Give a pinned image that the engine holds our own tag, so that no prune takes it."""
        held = await self.engine.image(pin.pin if pin.pin_kind == "image-id" else pin.pinned_text)
        if held is not None:
            await self.engine.tag(held.id, kept_image_name(pin, project=project, service=service))

    async def _registry_digest(self, ref: str, lookup: Lookup | None, *, known: str | None) -> str:
        if self.registry is None:
            return await self.engine.registry_digest(ref)
        try:
            found = await self.registry.find(ref, known=known)
        except OutsideError as error:
            if error.code != REGISTRY_UNREACHABLE:
                raise
            return await self._digest_by_engine(ref, error)
        if found.platforms and lookup is not None:
            _check_platforms(ref, await self._wanted(lookup), found.platforms)
        return found.digest

    async def _digest_by_engine(self, ref: str, error: OutsideError) -> str:
        """What the engine gets by its own ways. Raises `error` when it does no better."""
        try:
            return await self.engine.registry_digest(ref)
        except OutsideError as other:
            if other.code == IMAGE_NOT_FOUND:
                raise
            raise error from other

    async def _wanted(self, lookup: Lookup) -> Iterable[str]:
        """The platforms that the image is needed for."""
        if lookup.platforms:
            return lookup.platforms
        if self._platform is None:
            self._platform = (await self.engine.identity()).platform
        return [self._platform] if self._platform else []


def _check_platforms(ref: str, wanted: Iterable[str], have: tuple[str, ...]) -> None:
    missing = lacking(wanted, have)
    if missing:
        raise OutsideError(
            IMAGE_PLATFORM_MISSING,
            f"{ref} is not there for {', '.join(missing)}",
            why=f"it is there for {', '.join(have)}",
            next=f"build and push {ref} for {missing[0]} too, or name another platform: for the service",
        )


def _has_own_digest(image: Image, ref: str) -> bool:
    """Whether the engine knows a registry digest of this image in the repository that `ref` names."""
    wanted = image_name(ref)
    names = [image_name(digest) for digest in image.repo_digests]
    return any((one.registry, one.repository) == (wanted.registry, wanted.repository) for one in names)
