"""Which platforms an image is for."""

from __future__ import annotations

import pytest

from controller.registry.manifests import (
    NotAManifestError,
    config_digest,
    lacking,
    platform_of_config,
    platforms_of_index,
)


@pytest.mark.parametrize(
    ("wanted", "have", "missing"),
    [
        (["linux/amd64"], ["linux/amd64", "linux/arm64/v8"], []),
        (["linux/arm64"], ["linux/amd64", "linux/arm64/v8"], []),
        (["linux/arm/v7"], ["linux/arm/v6"], ["linux/arm/v7"]),
        (["linux/arm/v7"], ["linux/arm"], []),
        (["linux/x86_64", "linux/aarch64"], ["linux/amd64"], ["linux/aarch64"]),
        (["windows/amd64"], ["linux/amd64"], ["windows/amd64"]),
        ([], ["linux/amd64"], []),
    ],
)
def test_what_is_lacking(wanted: list[str], have: list[str], missing: list[str]) -> None:
    assert lacking(wanted, have) == missing


def test_odd_entries_of_an_index_name_no_platform() -> None:
    entries = [None, 1, {}, {"platform": 3}, {"platform": {"os": "linux"}}]
    assert platforms_of_index({"manifests": entries}) == ()
    assert platforms_of_index({"manifests": {}}) is None
    assert platform_of_config({"os": "linux", "architecture": "arm", "variant": "v7"}) == "linux/arm/v7"


@pytest.mark.parametrize("manifest", [{}, {"schemaVersion": 1}, {"schemaVersion": 2, "config": []}])
def test_what_no_engine_could_pull_is_no_manifest(manifest: dict[str, object]) -> None:
    with pytest.raises(NotAManifestError):
        config_digest(manifest)
