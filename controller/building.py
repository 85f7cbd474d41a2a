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
from events.kernel.errors import OutsideError, UserError, Where, error_code
from gitops.builds.archive import write_archive
from projections.engine.building import push_failed
from projections.engine.image_ports import ImageRecipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controller.context import Context
    from events.manifest import ImagePin
    from gitops.builds.spec import Build
    from gitops.pins import ImageCatalogue
    from gitops.source.tree import Tree
    from projections.engine.image_ports import ImageBuilder
    from projections.engine.port import Image

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
        return await _pin(context, build, tree=tree, revision=revision, title=title, record=record)
    except (UserError, OutsideError) as error:
        if type(error) not in (UserError, OutsideError):
            raise  # a special one, which its catcher knows by its class
        raise type(error)(
            error.code,
            error.message,
            where=Where(service=build.service, key=f"services.{build.service}.build"),
            why=error.why,
            next=error.next,
        ) from error


async def _pin(
    context: Context,
    build: Build,
    *,
    tree: Tree,
    revision: str,
    title: str,
    record: Callable[[ImageBuilt], None],
) -> ImagePin:
    found = await context.catalogue.built(build.ref, pushed=build.pushed)
    if found is not None:
        return found
    began, image = await _build(context, build, tree=tree, title=title)
    if build.pushed:
        context.progress(f"{title}: push {build.ref}")
        workshop = _workshop(context, build)
        await workshop.builder.push(build.ref, seconds=workshop.seconds)
    record(
        ImageBuilt(
            service=build.service,
            revision=revision,
            ref=build.ref,
            image_id=image.id,
            pushed=build.pushed,
            seconds=round(context.clock.monotonic() - began, 3),
        )
    )
    pin = await context.catalogue.built(build.ref, pushed=build.pushed)
    if pin is None:
        raise push_failed(build.ref, "the registry does not have it")
    return pin


async def pins_of_builds(catalogue: ImageCatalogue, builds: Iterable[Build]) -> dict[str, ImagePin]:
    """The pins of those images that are built already; nothing is built."""
    found = [await catalogue.built(build.ref, pushed=build.pushed) for build in builds]
    return {pin.ref: pin for pin in found if pin is not None}


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
