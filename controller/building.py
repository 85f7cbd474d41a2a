"""Images that are built here, before a Manifest is made: it holds pins, and what is not built has none.

So a Release never builds: its phases `build` and `push` are no-ops, and a rollback or a revert needs neither
Git nor a builder. An image is built once for what it is made from. Its name says that (`gitops.builds.spec`),
so one that the project's registry or the engine has under that name is taken as it is, also after a crash
between the build and its record.

Building runs what a commit says on the controller's own engine; the operator has to allow it.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from events.catalog.environment import ImageBuilt
from events.kernel.errors import OutsideError, StagecraftError, Where, error_code
from events.manifest import ImagePin
from gitops.builds.archive import write_archive
from projections.engine.errors import IMAGE_NOT_FOUND
from projections.engine.port import ImageRecipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.context import Context
    from gitops.builds.spec import Build
    from gitops.source.tree import Tree
    from projections.engine.port import Image, ImageBuilder

BUILD_NOT_ALLOWED = error_code(
    "build-not-allowed", "A service is to be built from the commit, and the operator does not allow it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildWorkshop:
    """Where images are built, and whether they are."""

    builder: ImageBuilder
    allowed: bool
    seconds: float  # for one build, and for one push
    scratch: Path  # folder for archives


async def pin_of_build(
    context: Context,
    build: Build,
    *,
    tree: Tree,
    revision: str,
    title: str,
    record: Callable[[ImageBuilt], None],
) -> ImagePin:
    """The pin of an image that is built here; it is built, and pushed, unless it is there already.

    Raises OutsideError `build-not-allowed`, `build-timed-out`, `push-failed`, `image-not-found`,
    `registry-unreachable` or `engine-unreachable`, UserError `build-failed`, all with the service.
    """
    try:
        found = await _existing(context, build)
        if found is not None:
            return found
        built = await _build(context, build, tree=tree, title=title)
        began, image = built
        if build.pushed:
            context.progress(f"{title}: push {build.ref}")
            await _workshop(context, build).builder.push(build.ref, seconds=_workshop(context, build).seconds)
        seconds = round(context.clock.monotonic() - began, 3)
        record(
            ImageBuilt(
                service=build.service,
                revision=revision,
                ref=build.ref,
                image_id=image.id,
                pushed=build.pushed,
                seconds=seconds,
            )
        )
        if build.pushed:
            return await context.catalogue.pushed(build.ref)
        return ImagePin(ref=build.ref, pin=image.id, pin_kind="image-id")
    except StagecraftError as error:
        raise type(error)(
            error.code,
            error.message,
            where=Where(service=build.service, key=f"services.{build.service}.build"),
            why=error.why,
            next=error.next,
        ) from error


async def _existing(context: Context, build: Build) -> ImagePin | None:
    """What was built from the same before, by whomever."""
    if build.pushed:
        try:
            return await context.catalogue.pushed(build.ref)
        except OutsideError as error:
            if error.code != IMAGE_NOT_FOUND:
                raise
            return None
    workshop = _workshop(context, build)
    held = await workshop.builder.image(build.ref)
    return None if held is None else ImagePin(ref=build.ref, pin=held.id, pin_kind="image-id")


async def _build(context: Context, build: Build, *, tree: Tree, title: str) -> tuple[float, Image]:
    """Build it; answers when that began, monotonic, and the image."""
    workshop = _workshop(context, build)
    began = context.clock.monotonic()
    context.progress(f"{title}: build {build.service}")

    def write(path: Path) -> None:
        with path.open("wb") as archive:
            write_archive(build, tree, archive)

    workshop.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix="build-", dir=workshop.scratch) as folder:
        archive = Path(folder) / "context.tar"
        await asyncio.to_thread(write, archive)
        recipe = ImageRecipe(
            tag=build.ref,
            context=archive,
            dockerfile=build.dockerfile,
            args=build.args,
            labels=build.labels,
            target=build.target,
            platform=build.platform,
        )
        loop = asyncio.get_running_loop()

        def tell(line: str) -> None:
            loop.call_soon_threadsafe(context.progress, f"{title}: {build.service}: {line}")

        return began, await workshop.builder.build(recipe, seconds=workshop.seconds, told=tell)


def _workshop(context: Context, build: Build) -> BuildWorkshop:
    workshop = context.workshop
    if workshop is None or not workshop.allowed:
        raise OutsideError(
            BUILD_NOT_ALLOWED,
            f"service {build.service!r} has build: and no image:, and nothing is built here",
            next="give it an image: that CI builds and pushes, or set builds.allowed in controller.yml",
        )
    return workshop
