"""What tests of views get: a history to play on, and a place for what is folded from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.projections.views.history import History


@pytest.fixture
def history() -> Iterator[History]:
    """An empty one; its log is closed afterwards."""
    made = History()
    yield made
    made.log.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where views go, in a folder that is not there yet."""
    return tmp_path / "home" / "views.db"
