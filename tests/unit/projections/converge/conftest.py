"""The stage that every converger test gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.projections.converge.scene import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """One environment with images `web:1`, `web:2`, `db:1`, `job:1` and `job:2` in its engine."""
    made = Scene(root=tmp_path)
    made.have("web:1", "web:2", "db:1", "db:2", "job:1", "job:2")
    return made
