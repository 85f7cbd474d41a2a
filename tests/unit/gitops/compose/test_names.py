"""Names of services as a Compose file spells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops.compose.names import NamesUnknownError, service_names
from tests.unit.gitops.trees import tree_of


def test_the_services_of_the_file_are_named(tmp_path: Path) -> None:
    text = "x-a: &a {image: x}\nservices:\n  web: *a\n  db: {ports: !reset []}\nvolumes: {v: }\n"
    assert service_names(tree_of(tmp_path, {"app/compose.yml": text}), "app") == {"web", "db"}


@pytest.mark.parametrize("text", ["", "services: []\n", "- a\n"])
def test_a_file_without_services_has_none(tmp_path: Path, text: str) -> None:
    assert service_names(tree_of(tmp_path, {"compose.yaml": text}), "") == frozenset()


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "no Compose file"),
        ({"compose.yaml": "include: [a.yml]\nservices: {web: }\n"}, "compose.yaml includes other files"),
        ({"compose.yaml": "services: ["}, "not YAML"),
        ({"compose.yaml": "#" * (1024 * 1024 + 1)}, "bytes"),
    ],
)
def test_names_that_cannot_be_told_are_an_error(tmp_path: Path, files: dict[str, str], why: str) -> None:
    with pytest.raises(NamesUnknownError, match=why):
        service_names(tree_of(tmp_path, files), "")
