"""The engine's own builder: what it is sent, what it says, and how it is stopped."""

from __future__ import annotations

import asyncio
import io
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from docker.client import DockerClient

from events.kernel.errors import OutsideError, UserError
from projections.engine.docker import DockerEngine
from projections.engine.image_ports import ImageRecipe
from projections.engine.port import Image
from tests.support.images import BUSYBOX, LABEL, TestImages
from tests.support.processes import wait_until

BASE = "FROM scratch\nCOPY sh /bin/sh\nCOPY sh /bin/sleep\n"


def recipe(images: TestImages, folder: Path, dockerfile: str, **more: str) -> ImageRecipe:
    """An image with busybox as `/bin/sh`, labelled so that it goes with the session's images."""
    session = images.reference("x", "y").split("/")[1]
    archive = folder / "context.tar"
    with tarfile.open(archive, "w") as tar:
        for name, content in {"Other": dockerfile.encode(), "sh": BUSYBOX.read_bytes()}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    args: Mapping[str, str] = {"WORD": more.get("word", "")}
    return ImageRecipe(
        tag=images.reference("built", more.get("tag", "v1")),
        context=archive,
        dockerfile="Other",
        args=args,
        labels={LABEL: session, "made": "here"},
        target=more.get("target"),
    )


def build(docker: DockerEngine, made: ImageRecipe, *, seconds: float = 60) -> tuple[Image, list[str]]:
    said: list[str] = []
    return asyncio.run(docker.images.build(made, seconds=seconds, told=said.append)), said


def test_builds_what_it_is_sent_and_says_each_step(
    docker: DockerEngine, images: TestImages, engine: DockerClient, tmp_path: Path
) -> None:
    dockerfile = f"{BASE}ARG WORD\nRUN echo the word is $WORD\nFROM scratch AS last\nCOPY sh /other\n"
    made = recipe(images, tmp_path, dockerfile.replace("FROM scratch\n", "FROM scratch AS first\n", 1),
                  word="open", target="first")  # fmt: skip
    image, said = build(docker, made)
    assert "the word is open" in said
    assert not any("/other" in line for line in said)
    shown = engine.images.get(made.tag)
    assert shown.id == image.id
    assert shown.labels["made"] == "here"


def test_a_step_that_fails_is_the_commits_fault_with_its_last_lines(
    docker: DockerEngine, images: TestImages, tmp_path: Path
) -> None:
    made = recipe(images, tmp_path, f"{BASE}RUN echo no database; exit 4\n")
    with pytest.raises(UserError) as caught:
        build(docker, made)
    assert caught.value.code == "build-failed"
    assert "no database" in caught.value.why
    assert "non-zero code: 4" in caught.value.why


@pytest.mark.parametrize("dockerfile", ["FORM scratch\n", "", "FROM scratch\nCOPY absent /\n"])
def test_a_dockerfile_that_cannot_be_used_is_the_commits_fault(
    docker: DockerEngine, images: TestImages, tmp_path: Path, dockerfile: str
) -> None:
    with pytest.raises(UserError) as caught:
        build(docker, recipe(images, tmp_path, dockerfile))
    assert caught.value.code == "build-failed"


def test_a_base_image_that_cannot_be_fetched_is_not_the_commits_fault(
    docker: DockerEngine, images: TestImages, tmp_path: Path
) -> None:
    with pytest.raises(OutsideError) as caught:
        build(docker, recipe(images, tmp_path, f"FROM {images.absent()}\n"))
    assert caught.value.code == "registry-unreachable"


def test_a_silent_build_is_cut_off_and_leaves_nothing_running(
    docker: DockerEngine, images: TestImages, engine: DockerClient, tmp_path: Path
) -> None:
    before = {one.id for one in engine.containers.list()}
    made = recipe(images, tmp_path, f"{BASE}RUN sleep 471\n")
    with pytest.raises(OutsideError) as caught:
        build(docker, made, seconds=3)
    assert caught.value.code == "build-timed-out"

    def sleeping() -> bool:
        running = [one for one in engine.containers.list() if one.id not in before]
        return any("sleep 471" in " ".join(one.attrs["Config"]["Cmd"] or []) for one in running)

    wait_until("the end of the build's container", lambda: not sleeping(), seconds=60)
    docker.close()
    wait_until("the end of the build's thread", lambda: not _engine_threads(), seconds=30)


def _engine_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("engine")]
