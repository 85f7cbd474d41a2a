"""Pins and pulls with a real registry."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator
from uuid import uuid4

import pytest
from docker.client import DockerClient
from docker.errors import ImageNotFound

from events.kernel.errors import OutsideError
from projections.engine.docker import DockerEngine
from tests.support.images import TestImages


@pytest.fixture
def pushed(engine: DockerClient, images: TestImages, registry: str) -> Generator[str]:
    """A reference that the registry has and the engine has not."""
    repository = f"{registry}/stagecraft-test/{uuid4().hex[:8]}"
    engine.api.tag(images.web(), repository, "1")  # pyright: ignore[reportUnknownMemberType]  # its stub is untyped
    engine.images.push(repository, tag="1")  # pyright: ignore[reportUnknownMemberType]  # its stub is untyped
    engine.images.remove(f"{repository}:1")
    _forget(engine, repository)
    yield f"{repository}:1"
    _forget(engine, repository)


def _forget(engine: DockerClient, repository: str) -> None:
    """Take away every name in the repository; the image itself has others."""
    for image in engine.images.list():
        digests: list[str] = image.attrs.get("RepoDigests") or []
        for name in [*image.tags, *digests]:
            if name.startswith(repository):
                with contextlib.suppress(ImageNotFound):
                    engine.images.remove(name)


def test_a_tag_has_a_digest_by_which_it_is_pulled(docker: DockerEngine, pushed: str) -> None:
    async def run() -> None:
        digest = await docker.registry_digest(pushed)
        assert digest.startswith("sha256:")
        pinned = f"{pushed}@{digest}"
        assert await docker.image(pinned) is None
        image = await docker.pull(pinned)
        assert f"{pushed.rpartition(':')[0]}@{digest}" in image.repo_digests
        assert await docker.image(pinned) == image
        assert await docker.image(pushed) is None, "a pull by digest gives no tag"

    asyncio.run(run())


def test_a_tag_can_be_pulled(docker: DockerEngine, pushed: str) -> None:
    async def run() -> None:
        image = await docker.pull(pushed)
        assert await docker.image(pushed) == image
        assert image.repo_digests[0].endswith(await docker.registry_digest(pushed))

    asyncio.run(run())


@pytest.mark.parametrize("suffix", ["", "/other"])
def test_an_image_that_the_registry_does_not_know_is_not_found(
    docker: DockerEngine, pushed: str, suffix: str
) -> None:
    absent = f"{pushed.rpartition(':')[0]}{suffix}:2"
    for call in (docker.registry_digest, docker.pull):
        with pytest.raises(OutsideError) as caught:
            asyncio.run(call(absent))
        assert caught.value.code == "image-not-found"
        assert "unknown" in caught.value.why


def test_a_digest_that_the_registry_does_not_know_is_not_found(docker: DockerEngine, pushed: str) -> None:
    with pytest.raises(OutsideError) as caught:
        asyncio.run(docker.pull(f"{pushed}@sha256:{'0' * 64}"))
    assert caught.value.code == "image-not-found"
