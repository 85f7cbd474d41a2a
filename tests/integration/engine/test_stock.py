"""What an engine holds beside containers: images from an archive, networks and volumes of one project."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from docker.client import DockerClient

from controller.demo.archive import Image, Layer, archive
from events.kernel.errors import OutsideError
from projections.engine.docker import DockerEngine
from tests.support.cleanup import PROJECT_LABEL, EngineProject

LABEL = "stagecraft-test.stock"


@pytest.fixture
def mark(engine: DockerClient) -> Iterator[str]:
    """A value of the label; images with it are gone afterwards."""
    value = uuid4().hex
    yield value
    for image in engine.images.list(filters={"label": f"{LABEL}={value}"}):
        engine.images.remove(image.id or "", force=True)


def image(mark: str, version: str) -> Image:
    configuration = {"Labels": {LABEL: mark}, "Cmd": [version]}
    layers = (Layer({"hello": mark.encode()}),)
    return Image(reference=f"{mark}/web:{version}", layers=layers, configuration=configuration)


def test_images_are_loaded_under_the_ids_that_their_content_gives(docker: DockerEngine, mark: str) -> None:
    made = [image(mark, "v1"), image(mark, "v2")]
    asyncio.run(docker.stock.load(archive(made, architecture="amd64")))
    found = asyncio.run(docker.stock.images(f"{LABEL}={mark}"))
    assert found == {one.id("amd64"): (one.reference,) for one in made}


def test_an_image_goes_with_all_its_tags_and_once_gone_is_gone(
    docker: DockerEngine, engine: DockerClient, mark: str
) -> None:
    made = image(mark, "v1")
    asyncio.run(docker.stock.load(archive([made], architecture="amd64")))
    engine.images.get(made.reference).tag(f"{mark}/other", "tag")
    for _ in range(2):
        asyncio.run(docker.stock.remove_image(made.id("amd64")))
    assert asyncio.run(docker.stock.images(f"{LABEL}={mark}")) == {}


def test_an_archive_that_is_none_is_refused_with_the_engines_words(docker: DockerEngine) -> None:
    with pytest.raises(OutsideError) as caught:
        asyncio.run(docker.stock.load([b"no archive" * 100]))
    assert caught.value.code == "engine-refused"
    assert caught.value.why


def test_an_archive_that_breaks_off_leaves_no_image(docker: DockerEngine, mark: str) -> None:
    whole = b"".join(archive([image(mark, "v1")], architecture="amd64"))
    with pytest.raises(OutsideError):
        asyncio.run(docker.stock.load([whole[: len(whole) // 2]]))
    assert asyncio.run(docker.stock.images(f"{LABEL}={mark}")) == {}


def test_networks_and_volumes_are_those_of_the_project(
    docker: DockerEngine, engine: DockerClient, engine_project: EngineProject
) -> None:
    mine, other = engine_project.name, f"{engine_project.name}-other"
    for name in (mine, other):
        engine.networks.create(f"{name}_default", labels={PROJECT_LABEL: name})
        engine.volumes.create(f"{name}_data", labels={PROJECT_LABEL: name})
    stock = docker.stock
    networks = asyncio.run(stock.networks(mine))
    assert list(networks.values()) == [f"{mine}_default"]
    assert asyncio.run(stock.volumes(mine)) == (f"{mine}_data",)
    for network in networks:
        asyncio.run(stock.remove_network(network))
        asyncio.run(stock.remove_network(network))
    asyncio.run(stock.remove_volume(f"{mine}_data"))
    asyncio.run(stock.remove_volume(f"{mine}_data"))
    assert asyncio.run(stock.networks(mine)) == {}
    assert asyncio.run(stock.volumes(mine)) == ()
    assert asyncio.run(stock.volumes(other)) == (f"{other}_data",)


def test_an_engine_that_does_not_answer_has_no_stock(tmp_path: Path) -> None:
    engine = DockerEngine(f"unix://{tmp_path}/none.sock", tmp_path / "run")
    with pytest.raises(OutsideError) as caught:
        asyncio.run(engine.stock.volumes("shop"))
    engine.close()
    assert caught.value.code == "engine-unreachable"
