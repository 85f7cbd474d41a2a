"""What a tag means, asked of a real registry."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from controller.registry.client import Found
from tests.integration.controller.registry.conftest import Asker
from tests.support.registry import (
    PASSWORD,
    USER,
    Registry,
    password_auth,
    put_image,
    put_index,
    running_registry,
)

AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64"}


@pytest.fixture
def registry(tmp_path: Path) -> Generator[Registry]:
    with running_registry(tmp_path) as running:
        yield running


@pytest.fixture
def locked(tmp_path: Path) -> Generator[Registry]:
    with running_registry(tmp_path, auth=password_auth(tmp_path)) as running:
        yield running


def test_an_image_is_its_manifest_and_the_platform_it_was_made_for(asker: Asker, registry: Registry) -> None:
    digest = put_image(registry.address, "org/web", "v1", config=AMD64)
    found = asker.find(f"{registry.address}/org/web:v1")
    assert found == Found(digest=digest, platforms=("linux/amd64",))


@pytest.mark.parametrize("oci", [True, False])
def test_an_index_is_itself_with_all_its_platforms(asker: Asker, registry: Registry, *, oci: bool) -> None:
    images = {
        "linux/arm/v7": put_image(registry.address, "web", "arm", config=ARM64),
        "linux/amd64": put_image(registry.address, "web", "amd64", config=AMD64),
        "unknown/unknown": put_image(registry.address, "web", "signature", config=AMD64),
    }
    digest = put_index(registry.address, "web", "v1", images=images, oci=oci)
    found = asker.find(f"{registry.address}/web:v1")
    assert found == Found(digest=digest, platforms=("linux/amd64", "linux/arm/v7"))


def test_no_tag_is_latest(asker: Asker, registry: Registry) -> None:
    digest = put_image(registry.address, "web", "latest", config=AMD64)
    assert asker.find(f"{registry.address}/web").digest == digest


def test_a_tag_that_still_means_the_same_is_not_read_again(asker: Asker, registry: Registry) -> None:
    digest = put_image(registry.address, "web", "v1", config=AMD64)
    ref = f"{registry.address}/web:v1"
    assert asker.find(ref, known=digest) == Found(digest=digest, platforms=())
    moved = put_image(registry.address, "web", "v1", config=ARM64)
    assert asker.find(ref, known=digest) == Found(digest=moved, platforms=("linux/arm64",))


@pytest.mark.parametrize("name", ["web:v2", "other:v1"])
def test_what_is_not_there_is_not_found(asker: Asker, registry: Registry, name: str) -> None:
    put_image(registry.address, "web", "v1", config=AMD64)
    error = asker.fails(f"{registry.address}/{name}")
    assert error.code == "image-not-found"
    assert "unknown" in error.why


def test_a_registry_that_is_gone_is_unreachable(asker: Asker, registry: Registry) -> None:
    registry.stop()
    assert asker.fails(f"{registry.address}/web:v1").code == "registry-unreachable"


def test_plain_http_is_spoken_only_where_it_may_be(isolated_home: Path, registry: Registry) -> None:
    put_image(registry.address, "web", "v1", config=AMD64)
    asker = Asker(isolated_home, plain_http={registry.address: False})
    assert asker.fails(f"{registry.address}/web:v1").code == "registry-unreachable"


def test_a_password_opens_a_registry(asker: Asker, locked: Registry) -> None:
    asker.log_in(locked.address, USER, PASSWORD)
    error = asker.fails(f"{locked.address}/web:v1")
    assert error.code == "image-not-found"
    assert "unknown" in error.why  # it was let in and there is none


def test_without_a_password_the_image_is_hidden(asker: Asker, locked: Registry) -> None:
    error = asker.fails(f"{locked.address}/web:v1")
    assert error.code == "image-not-found"
    assert "docker login" in error.next
    assert f"no credentials for {locked.address}" in error.why


def test_a_wrong_password_is_told_and_not_shown(asker: Asker, locked: Registry) -> None:
    asker.log_in(locked.address, USER, "not-the-password")
    error = asker.fails(f"{locked.address}/web:v1")
    assert error.code == "image-not-found"
    assert "docker login" in error.next
    assert "not-the-password" not in f"{error} {error.next}"


def test_a_password_of_another_registry_opens_nothing(asker: Asker, locked: Registry) -> None:
    asker.log_in("127.0.0.1:1", USER, PASSWORD)
    assert "no credentials" in asker.fails(f"{locked.address}/web:v1").why


def test_a_helper_that_the_registry_has_of_its_own_is_asked_first(asker: Asker, locked: Registry) -> None:
    asker.configure(
        credHelpers={locked.address: "right"},
        credsStore="wrong",
        auths={locked.address: {"auth": "bm90OnRoaXM="}},
    )
    asker.helper(
        "right",
        f'read server; [ "$1 $server" = "get {locked.address}" ] || exit 9\n'
        f'echo \'{{"ServerURL":"x","Username":"{USER}","Secret":"{PASSWORD}"}}\'',
    )
    asker.helper("wrong", "exit 7")
    assert "unknown" in asker.fails(f"{locked.address}/web:v1").why


def test_a_store_that_has_none_leaves_the_configuration_to_say(asker: Asker, locked: Registry) -> None:
    asker.log_in(locked.address, USER, PASSWORD)
    asker.helper("store", "echo credentials not found in native keychain; exit 1")
    config = (asker.home / ".docker" / "config.json").read_text()
    (asker.home / ".docker" / "config.json").write_text(config[:-1] + ', "credsStore": "store"}')
    assert "unknown" in asker.fails(f"{locked.address}/web:v1").why


@pytest.mark.parametrize(
    "script", ["exit 3", "echo nonsense", "echo my-secret-password >&2; echo my-secret-password; exit 1"]
)
def test_a_helper_that_fails_is_named_and_what_it_says_is_not_repeated(
    asker: Asker, locked: Registry, script: str
) -> None:
    asker.configure(credHelpers={locked.address: "odd"})
    asker.helper("odd", script)
    error = asker.fails(f"{locked.address}/web:v1")
    assert error.code == "credentials-unavailable"
    assert "docker-credential-odd" in error.message
    assert "my-secret-password" not in f"{error} {error.next}"


@pytest.mark.parametrize("helper", ["absent", "../../bin/sh", "a b"])
def test_a_helper_that_cannot_be_is_refused(asker: Asker, locked: Registry, helper: str) -> None:
    asker.configure(credsStore=helper)
    assert asker.fails(f"{locked.address}/web:v1").code == "credentials-unavailable"


@pytest.mark.parametrize("content", ["{", "[]", '{"auths": {"A": {"auth": "%%%"}}}'])
def test_a_configuration_that_cannot_be_read_is_told_without_its_content(
    asker: Asker, locked: Registry, content: str
) -> None:
    asker.configure()
    (asker.home / ".docker" / "config.json").write_text(content.replace("A", locked.address))
    error = asker.fails(f"{locked.address}/web:v1")
    assert error.code == "credentials-unavailable"
    assert "%%%" not in f"{error}"


def test_credentials_are_asked_for_once_in_a_while(asker: Asker, locked: Registry) -> None:
    asker.configure(credHelpers={locked.address: "counting"})
    answer = f'{{"Username":"{USER}","Secret":"{PASSWORD}"}}'
    asker.helper("counting", f"echo asked >>{asker.home}/asked; echo '{answer}'")
    for _ in range(3):
        asker.fails(f"{locked.address}/web:v1")
    asker.clock.advance(3600)
    asker.fails(f"{locked.address}/web:v1")
    assert (asker.home / "asked").read_text().split() == ["asked"] * 2
