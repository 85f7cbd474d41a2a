"""Images as an engine reads them: ids that follow from the content, each layer once."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from controller.demo.archive import Image, Layer, archive


def opened(images: list[Image]) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(b"".join(archive(images, architecture="amd64"))))


def read(found: tarfile.TarFile, name: str) -> bytes:
    member = found.extractfile(name)
    assert member is not None
    return member.read()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"x" * 1500)
    return path


def test_the_table_of_contents_names_what_stands_in_the_archive(program: Path) -> None:
    layer = Layer({"bin/program": program}, folders=("tmp",))
    with opened([Image(reference="a/web:v1", layers=(layer,), configuration={"Cmd": ["x"]})]) as found:
        (entry,) = json.loads(read(found, "manifest.json"))
        assert entry["RepoTags"] == ["a/web:v1"]
        description: dict[str, Any] = json.loads(read(found, entry["Config"]))
        (path,) = entry["Layers"]
        content = read(found, path)
    assert description["config"] == {"Cmd": ["x"]}
    assert description["architecture"] == "amd64"
    assert description["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(content).hexdigest()}"]
    assert len(content) == layer.size_bytes
    with tarfile.open(fileobj=io.BytesIO(content)) as inner:
        folder, file = inner.getmembers()
        assert (folder.name, folder.isdir(), folder.mode) == ("tmp", True, 0o1777)
        assert (file.name, file.mode, file.mtime, file.uid) == ("bin/program", 0o755, 0, 0)
        assert read(inner, "bin/program") == program.read_bytes()


def test_a_description_stands_under_its_own_digest(program: Path) -> None:
    image = Image(reference="a/web:v1", layers=(Layer({"p": program}),))
    with opened([image]) as found:
        (entry,) = json.loads(read(found, "manifest.json"))
        assert entry["Config"] == f"{hashlib.sha256(read(found, entry['Config'])).hexdigest()}.json"


def test_images_that_share_a_layer_bring_it_once(program: Path) -> None:
    shared = Layer({"p": program})
    images = [
        Image(reference=f"a/web:{version}", layers=(shared,), configuration={"Cmd": [version]})
        for version in ("v1", "v2")
    ]
    with opened(images) as found:
        names = found.getnames()
    assert names.count(f"{shared.digest}.tar") == 1
    assert len(names) == 2 + 1 + 1


def test_the_same_content_gives_the_same_bytes(program: Path) -> None:
    def made() -> bytes:
        image = Image(reference="a/web:v1", layers=(Layer({"p": program, "a": b"1"}),))
        return b"".join(archive([image], architecture="arm64"))

    assert made() == made()


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513])
def test_a_layer_knows_its_size_before_it_is_made(size: int) -> None:
    layer = Layer({"a": b"x" * size, "b": b""}, folders=("tmp", "data"), links={"c": "a"})
    assert layer.size_bytes == len(b"".join(layer.chunks()))


def test_links_stand_in_a_layer() -> None:
    layer = Layer({"bin/busybox": b"x"}, links={"bin/sh": "busybox"})
    with tarfile.open(fileobj=io.BytesIO(b"".join(layer.chunks()))) as found:
        link = found.getmember("bin/sh")
    assert (link.issym(), link.linkname) == (True, "busybox")
