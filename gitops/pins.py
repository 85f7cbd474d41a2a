"""What each image reference means, decided once when a Manifest is made.

A reference that carries a digest means that digest. One whose text this environment has pinned before keeps
its pin: a tag that moved in the registry must not move what runs. Only the rest is looked up, each text once
however many services use it. Where it is looked up is not known here: the catalogue comes from outside.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from events.kernel.errors import StagecraftError, UserError, Where, error_code
from events.manifest import ImagePin, Manifest
from gitops.source.paths import shown

IMAGE_INVALID = error_code("image-invalid", "An image reference is not written as one.")

_REFERENCE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*(?::\d+)?(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_IMAGE_ID = re.compile(r"(?:sha256:)?(?P<id>[0-9a-f]{64})")
_MAX_LENGTH = 512
_AT_ONCE = 8  # questions to registries side by side


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """How a reference is looked up, by what its services say together."""

    pull_policy: str | None = None  # `always`, `never`, `missing`, …; None: nothing is said
    platforms: frozenset[str] = frozenset()  # that services name; empty: the hosts' own


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What became of a number of references; each is in one of the two."""

    pins: dict[str, ImagePin]
    failures: dict[str, StagecraftError]

    def or_raise(self) -> dict[str, ImagePin]:
        """The pins. Raises the failure of the first reference in the alphabet."""
        for _ref, failure in sorted(self.failures.items()):
            raise failure
        return self.pins


class ImageCatalogue(Protocol):
    """Where references are looked up: engines first or registries first, as the pull policy asks."""

    async def resolve(self, ref: str, lookup: Lookup, *, known: str | None = None) -> ImagePin:
        """What `ref` means now; `known` is the digest that it had when it was last looked up.

        Raises OutsideError `image-not-found`, `image-platform-missing` or `registry-unreachable`.
        """
        ...

    async def built(self, ref: str, *, pushed: bool) -> ImagePin | None:
        """The image whose name says what it was built from, None when it is not built; else as `resolve`."""
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


def wanted(
    images: Mapping[str, str],
    pull_policies: Mapping[str, str | None],
    platforms: Mapping[str, str | None] | None = None,
) -> dict[str, Lookup]:
    """`{ref: how it is looked up}` of all references that carry no digest, sorted; all maps are by service.

    When services of one image differ in their policy, `always` wins, then the first in the alphabet.
    Raises UserError `image-invalid` with the service.
    """
    refs: dict[str, Lookup] = {}
    for service, ref in sorted(images.items()):
        try:
            carried = own_pin(ref)
        except UserError as error:
            raise UserError(
                error.code, error.message, where=Where(service=service), next=error.next
            ) from error
        if carried is None:
            before = refs.get(ref, Lookup())
            platform = (platforms or {}).get(service)
            refs[ref] = Lookup(
                pull_policy=_stricter(before.pull_policy, pull_policies.get(service)),
                platforms=before.platforms | ({platform} if platform else frozenset[str]()),
            )
    return dict(sorted(refs.items()))


async def resolve_pins(
    refs: Mapping[str, Lookup],
    *,
    sticky: Mapping[str, ImagePin],
    catalogue: ImageCatalogue,
    known: Mapping[str, ImagePin] | None = None,
) -> Resolution:
    """Each of `refs` pinned by what it carries, by `sticky`, or by the catalogue, several at a time.

    `known` pins are no answer, only what a look-up may compare with. Raises UserError `image-invalid`;
    what the catalogue raises is in the answer.
    """
    room = asyncio.Semaphore(_AT_ONCE)
    pins: dict[str, ImagePin] = {}
    failures: dict[str, StagecraftError] = {}

    async def look_up(ref: str, lookup: Lookup) -> None:
        former = (known or {}).get(ref)
        async with room:
            try:
                pins[ref] = await catalogue.resolve(ref, lookup, known=None if former is None else former.pin)
            except StagecraftError as error:
                failures[ref] = error

    given = {ref: own_pin(ref) or sticky.get(ref) for ref in refs}
    pins.update({ref: pin for ref, pin in given.items() if pin is not None})
    async with asyncio.TaskGroup() as group:
        for ref, lookup in refs.items():
            if ref not in pins:
                group.create_task(look_up(ref, lookup))
    return Resolution(pins=dict(sorted(pins.items())), failures=failures)


async def keep_pins(manifest: Manifest, catalogue: ImageCatalogue) -> None:
    """Give every image of a Manifest our tag, where it is already."""
    for service, pin in sorted(manifest.images().items()):
        await catalogue.keep(pin, project=manifest.project, service=service)


def _stricter(*policies: str | None) -> str | None:
    said: Iterable[str] = sorted(policy for policy in policies if policy)
    return "always" if "always" in said else next(iter(said), None)
