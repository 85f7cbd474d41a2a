"""The demo's images: what they are made of, and what is said when that is missing."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from controller.demo.images import LABEL, image_archive, programs, reference
from controller.demo.shop import Shop
from events.kernel.errors import UserError


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in ("caddy", "traefik")}
    for path in found.values():
        path.write_text(path.name)
    return found


def descriptions(project: str, installed: dict[str, Path]) -> dict[str, Any]:
    content = io.BytesIO(b"".join(image_archive(project, installed, machine="x86_64")))
    with tarfile.open(fileobj=content) as found:

        def read(name: str) -> Any:  # noqa: ANN401  # JSON
            member = found.extractfile(name)
            assert member is not None
            return json.load(member)

        return {one["RepoTags"][0]: read(one["Config"]) for one in read("manifest.json")}


def test_every_image_that_the_shop_names_is_made_and_labelled(installed: dict[str, Path]) -> None:
    made = descriptions("shop-1234", installed)
    for version in ("v1", "v2", "v3"):
        compose = Shop(project="shop-1234", port=1).files(version)["compose.yaml"]
        named = [line.split("image: ")[1] for line in compose.splitlines() if "image: " in line]
        assert len(named) == 4
        assert set(named) <= set(made)
    assert {one["config"]["Labels"][LABEL] for one in made.values()} == {"shop-1234"}


def test_versions_of_web_differ_and_two_demos_share_no_image(installed: dict[str, Path]) -> None:
    made = descriptions("shop-1234", installed)
    assert made[reference("shop-1234", "web", "v1")] != made[reference("shop-1234", "web", "v2")]
    other = descriptions("shop-5678", installed)
    assert not [one for one in made.values() if one in list(other.values())]


def test_the_programs_come_with_their_wheels() -> None:
    found = programs()
    assert {name: path.read_bytes()[:4] for name, path in found.items()} == dict.fromkeys(
        ("caddy", "traefik"), b"\x7fELF"
    )


def test_without_the_wheels_the_error_says_what_to_install() -> None:
    with pytest.raises(UserError) as caught:
        programs({"caddy": "a-wheel-that-nobody-has"})
    assert caught.value.code == "demo-program-missing"
    assert "stagecraft[demo]" in caught.value.next


def test_an_unknown_processor_is_refused(installed: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="riscv64"):
        image_archive("shop-1234", installed, machine="riscv64")
