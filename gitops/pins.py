"""What each image reference means, decided once when a Manifest is made.

A reference that carries a digest means that digest. One whose text this environment has pinned before keeps
its pin: a tag that moved in the registry must not move what runs. Only the rest is looked up, each text once
however many services use it. Where it is looked up is not known here: the catalogue comes from outside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from events.kernel.errors import UserError, Where, error_code
from events.manifest import ImagePin, Manifest
from gitops.source.paths import shown

IMAGE_INVALID = error_code("image-invalid", "An image reference is not written as one.")

_REFERENCE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*(?::\d+)?(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_IMAGE_ID = re.compile(r"(?:sha256:)?(?P<id>[0-9a-f]{64})")
_MAX_LENGTH = 512


class ImageCatalogue(Protocol):
    """Where references are looked up: engines first or registries first, as the pull policy asks."""

    async def resolve(self, ref: str, *, pull_policy: str | None) -> ImagePin:
        """What `ref` means now.

        `pull_policy` is what Compose goes by (`always`, `never`, `missing`, …), None when nothing is said.
        Raises OutsideError `image-not-found` or `registry-unreachable`.
        """
        ...

    async def keep(self, pin: ImagePin, *, project: str, service: str) -> None:
        """Give the image a local tag of ours wherever it is already, so that no prune takes it."""
        ...


def own_pin(ref: str) -> ImagePin | None:
    """The pin that the text itself carries, None when it has to be looked up.

    Raises UserError `image-invalid`.
    """
    if image_id := _IMAGE_ID.fullmatch(ref):
        return ImagePin(ref=ref, pin=f"sha256:{image_id['id']}", pin_kind="image-id")
    parts = _REFERENCE.fullmatch(ref) if len(ref) <= _MAX_LENGTH else None
    if parts is None:
        raise UserError(
            IMAGE_INVALID,
            f"{shown(ref)!r} is not an image reference",
            next="write it as name:tag or name@digest",
        )
    return ImagePin(ref=ref, pin=parts["digest"], pin_kind="repo-digest") if parts["digest"] else None


def wanted(images: Mapping[str, str], pull_policies: Mapping[str, str | None]) -> dict[str, str | None]:
    """`{ref: pull policy}` of all references that carry no digest, sorted.

    When services of one image differ in their policy, `always` wins, then the first in the alphabet.
    Raises UserError `image-invalid` with the service.
    """
    refs: dict[str, str | None] = {}
    for service, ref in sorted(images.items()):
        try:
            carried = own_pin(ref)
        except UserError as error:
            raise UserError(
                error.code, error.message, where=Where(service=service), next=error.next
            ) from error
        if carried is None:
            refs[ref] = _stricter(refs.get(ref), pull_policies.get(service))
    return dict(sorted(refs.items()))


async def resolve_pins(
    refs: Mapping[str, str | None], *, sticky: Mapping[str, ImagePin], catalogue: ImageCatalogue
) -> dict[str, ImagePin]:
    """The pin of each of `refs`, which come with their pull policy; `sticky` are the environment's own.

    Raises UserError `image-invalid`, and as the catalogue does.
    """
    return {
        ref: own_pin(ref) or sticky.get(ref) or await catalogue.resolve(ref, pull_policy=policy)
        for ref, policy in sorted(refs.items())
    }


async def keep_pins(manifest: Manifest, catalogue: ImageCatalogue) -> None:
    """Give every image of a Manifest our tag, where it is already."""
    for service, pin in sorted(manifest.images().items()):
        await catalogue.keep(pin, project=manifest.project, service=service)


def _stricter(*policies: str | None) -> str | None:
    said: Iterable[str] = sorted(policy for policy in policies if policy)
    return "always" if "always" in said else next(iter(said), None)
