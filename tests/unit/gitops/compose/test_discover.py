"""Compose's own names in Compose's own order."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.kernel.errors import UserError
from gitops.compose.discover import COMPOSE_NOT_FOUND, NAMES, OVERRIDES, discover
from gitops.findings import FindingCode
from tests.unit.gitops.trees import tree_of


@pytest.mark.parametrize("first", range(len(NAMES)))
def test_the_first_name_in_order_is_taken(tmp_path: Path, first: int) -> None:
    found = discover(tree_of(tmp_path, dict.fromkeys(NAMES[first:], "")), "")
    assert found.path == NAMES[first]
    assert [finding.file for finding in found.findings] == list(NAMES[first + 1 :])
    assert {finding.code for finding in found.findings} <= {FindingCode.COMPOSE_SEVERAL}


@pytest.mark.parametrize("override", OVERRIDES)
def test_an_override_file_is_only_a_finding(tmp_path: Path, override: str) -> None:
    found = discover(tree_of(tmp_path, {"app/compose.yml": "", f"app/{override}": ""}), "app")
    assert found.path == "app/compose.yml"
    (finding,) = found.findings
    assert (finding.code, finding.file) == (FindingCode.OVERRIDE_IGNORED, f"app/{override}")


def test_all_names_are_noted_as_looked_for(tmp_path: Path) -> None:
    found = discover(tree_of(tmp_path, {"app/compose.yml": ""}), "app")
    assert found.looked_for == tuple(f"app/{name}" for name in (*NAMES, *OVERRIDES))
    assert "app/docker-compose.override.yaml" in found.looked_for


def test_no_compose_file_is_an_error_that_names_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        discover(tree_of(tmp_path, {"other/compose.yaml": ""}), "")
    assert caught.value.code == COMPOSE_NOT_FOUND
    assert all(name in caught.value.message for name in NAMES)
