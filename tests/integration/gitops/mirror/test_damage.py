"""A copy that is damaged heals; a source that is damaged is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError
from gitops.source.exchange import GIT_UNREACHABLE
from gitops.source.mirror import Mirror
from tests.integration.gitops.mirror.scene import (
    emptied,
    fetch,
    with_a_broken_ref,
    without_objects,
)
from tests.support.repos import Repository


def test_a_repository_that_is_damaged_is_told_in_gits_words(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    for pack in (repository.origin / "objects").rglob("*"):
        if pack.is_file():
            pack.unlink()
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    with pytest.raises(OutsideError) as caught:
        fetch(mirror)
    assert caught.value.code == GIT_UNREACHABLE
    assert caught.value.why


@pytest.mark.parametrize("damage", [emptied, without_objects, with_a_broken_ref])
def test_a_damaged_copy_is_made_anew(
    repository: Repository, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    repository.commit({"a": "1"})
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    fetch(mirror)
    damage(tmp_path / "m")
    revision = repository.commit({"a": "2"})
    assert fetch(mirror) == revision
    with mirror.repository() as opened:
        assert opened.tree(revision).read("a", max_bytes=10) == b"2"
    assert [one.name for one in tmp_path.iterdir() if "broken" in one.name] == []


def test_a_whole_copy_stays_when_it_is_asked_to_heal(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    assert asyncio.run(mirror.heal()) is False
    fetch(mirror)
    before = (tmp_path / "m").stat().st_ino
    assert asyncio.run(mirror.heal()) is False
    assert (tmp_path / "m").stat().st_ino == before
