"""The images of one Docker engine: looked at, fetched, named; and, as `ImageBuilder`, built and pushed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from projections.engine.api import DockerApi
from projections.engine.building import BuildReader, check_push
from projections.engine.docker_connection import DockerConnection, build_errors, image_errors
from projections.engine.errors import engine_refused
from projections.engine.image_ports import ImageRecipe
from projections.engine.makeup import ImageDefaults, image_defaults
from projections.engine.model import image_from_inspection
from projections.engine.port import Image
from projections.engine.registry import check_progress, no_answer, pull_name, registry_digest


class DockerImages:
    """What one engine has of images, and can get or make."""

    def __init__(self, connection: DockerConnection) -> None:
        """The connection is somebody else's to close."""
        self._connection = connection

    async def image(self, ref: str) -> Image | None:
        """An image the engine has, by tag, digest or id; None when it has none."""
        answer = await self._connection.find(f"show image {ref}", lambda api: api.inspect_image(ref))
        return image_from_inspection(answer) if answer is not None else None

    async def image_defaults(self, ref: str) -> ImageDefaults | None:
        """What an image gives its containers; None when the engine has none of that name."""
        answer = await self._connection.find(f"show image {ref}", lambda api: api.inspect_image(ref))
        return image_defaults(answer) if answer is not None else None

    async def registry_digest(self, ref: str) -> str:
        """The digest that the registry gives the tag now.

        Raises OutsideError `image-not-found` when the registry knows no such image or does not show it,
        and `registry-unreachable` when there is no answer in time.
        """

        def ask(api: DockerApi) -> str:
            with image_errors(ref):
                return registry_digest(ref, api.inspect_distribution(ref))

        return await self._connection.call(
            f"ask for {ref}", ask, seconds=self._connection.deadlines.registry_seconds
        )

    async def pull(self, ref: str) -> Image:
        """Fetch an image. Raises OutsideError `image-not-found` or `registry-unreachable`."""
        given_up = threading.Event()
        seconds = self._connection.deadlines.pull_seconds
        deadline = self._connection.clock.monotonic() + seconds

        def fetch(api: DockerApi) -> None:
            repository, tag = pull_name(ref)
            with image_errors(ref):
                for line in api.pull(repository, tag=tag, stream=True, decode=True):
                    check_progress(ref, line)
                    if given_up.is_set() or self._connection.clock.monotonic() > deadline:
                        raise no_answer(ref, f"it was not complete after {seconds:g} s")

        try:
            await self._connection.call(
                f"pull {ref}", fetch, seconds=self._connection.deadlines.pull_silence_seconds
            )
        finally:
            given_up.set()  # a cancelled caller must not leave a thread that pulls on for an hour
        pulled = await self.image(ref)
        if pulled is None:
            raise engine_refused(f"keep the image {ref}", "it was pulled and is not there")
        return pulled

    async def tag(self, image_id: str, name: str) -> None:
        """Give an image a further `repository:tag` name."""
        repository, _, tag = name.rpartition(":")
        await self._connection.call(
            f"tag {image_id} as {name}", lambda api: api.tag(image_id, repository, tag)
        )

    async def build(self, recipe: ImageRecipe, *, seconds: float, told: Callable[[str], None]) -> Image:
        """Build an image with the engine's own builder; see `ImageBuilder.build`."""

        def make(api: DockerApi, over: Callable[[], bool]) -> str:
            reader = BuildReader(tag=recipe.tag, told=told, over=over, seconds=seconds)
            with recipe.context.open("rb") as context, build_errors(recipe.tag):
                lines = api.build(
                    fileobj=context,
                    custom_context=True,
                    tag=recipe.tag,
                    dockerfile=recipe.dockerfile,
                    buildargs=dict(recipe.args),
                    labels=recipe.labels,
                    target=recipe.target,
                    platform=recipe.platform,
                    rm=True,
                    forcerm=True,
                    decode=True,
                )
                return reader.read(lines)

        image_id = await self._connection.in_time(f"build {recipe.tag}", make, seconds=seconds)
        built = await self.image(image_id)
        if built is None:
            raise engine_refused(f"keep the image {recipe.tag}", "it was built and is not there")
        return built

    async def push(self, ref: str, *, seconds: float) -> None:
        """Push a tag to its registry; see `ImageBuilder.push`."""

        def send(api: DockerApi, over: Callable[[], bool]) -> None:
            repository, tag = pull_name(ref)
            lines = api.push(repository, tag=tag, stream=True, decode=True)
            check_push(ref, lines, over=over, seconds=seconds)

        await self._connection.in_time(f"push {ref}", send, seconds=seconds)
