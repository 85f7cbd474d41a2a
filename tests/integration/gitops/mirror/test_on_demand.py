"""Only the files that are needed are brought, where the server can."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError
from gitops.source.mirror import Mirror
from tests.integration.gitops.githost import GitHost, serving
from tests.integration.gitops.mirror.scene import (
    emptied,
    fetch,
    without_objects,
)
from tests.support.git_calls import counted_git
from tests.support.repos import Repository, git


def _filled(repository: Repository) -> str:
    """Ten commits, each with another large file in place of the one before; answers the last."""
    for number in range(10):
        noise = hashlib.shake_256(str(number).encode()).digest(200_000)
        repository.commit({"large": noise, f"small/{number}": str(number)}, push=False)
    repository.push()
    return repository.head()


def _bytes_of(folder: Path) -> int:
    return sum(one.stat().st_size for one in (folder / "objects").rglob("*") if one.is_file())


def _served(repository: Repository, *, filters: bool = True) -> GitHost:
    git("config", "uploadpack.allowFilter", str(filters).lower(), cwd=repository.origin)
    return GitHost(root=repository.origin.parent)


def test_only_the_files_of_the_commit_that_is_looked_at_are_brought_where_the_server_can(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = _filled(repository)
    calls = counted_git(tmp_path, monkeypatch)
    with serving(_served(repository)) as port:
        url = f"http://127.0.0.1:{port}/origin.git"
        mirror = Mirror(url, tmp_path / "m")
        assert fetch(mirror) == revision
        fetches = [one for one in calls() if " fetch " in one]
        assert len(fetches) == 2, "the history, then all files at once"
        assert not any(url in one for one in fetches)
        assert asyncio.run(mirror.has_files(revision))
        assert not asyncio.run(mirror.has_files(repository.head("HEAD~1")))
        with mirror.repository() as opened:
            assert len(opened.tree(revision).walk("")) == 11
            assert len(opened.tree(revision).read("large", max_bytes=1 << 20)) == 200_000
            assert opened.is_ancestor(repository.head("HEAD~9"), revision)
            assert len(opened.commits_since(revision, None, most=100)) == 10
            calls()
            with pytest.raises(OutsideError):
                opened.tree(repository.head("HEAD~1")).read("large", max_bytes=1 << 20)
            assert not any("fetch" in one for one in calls()), "nothing is fetched behind our back"
        assert _bytes_of(tmp_path / "m") < 400_000
        assert url not in (tmp_path / "m/config").read_text()
        repository.commit({"small/9": "new"})
        calls()
        assert fetch(mirror) == repository.head()
        assert len([one for one in calls() if " fetch " in one]) == 2
        assert asyncio.run(mirror.heal()) is False


def test_a_server_that_leaves_nothing_out_sends_everything_as_ever(
    repository: Repository, tmp_path: Path
) -> None:
    revision = _filled(repository)
    with serving(_served(repository, filters=False)) as port:
        mirror = Mirror(f"http://127.0.0.1:{port}/origin.git", tmp_path / "m")
        assert fetch(mirror) == revision
        assert asyncio.run(mirror.has_files(repository.head("HEAD~1")))
        assert asyncio.run(mirror.heal()) is False
    assert _bytes_of(tmp_path / "m") > 2_000_000


def test_a_server_that_hands_over_no_single_file_is_asked_for_everything(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = _filled(repository)
    host = _served(repository)
    host.protocol = ""  # the older one asks for leave for every object that no ref points at
    with serving(host) as port:
        mirror = Mirror(f"http://127.0.0.1:{port}/origin.git", tmp_path / "m")
        assert fetch(mirror) == revision
        assert asyncio.run(mirror.has_files(repository.head("HEAD~1")))
        calls = counted_git(tmp_path, monkeypatch)
        repository.commit({"a": "1"})
        calls()
        assert fetch(mirror) == repository.head()
        (one,) = [one for one in calls() if " fetch " in one]
        assert "--filter" not in one


def test_a_server_that_stops_leaving_files_out_goes_on_being_read(
    repository: Repository, tmp_path: Path
) -> None:
    _filled(repository)
    with serving(_served(repository)) as port:
        mirror = Mirror(f"http://127.0.0.1:{port}/origin.git", tmp_path / "m")
        fetch(mirror)
        _served(repository, filters=False)
        revision = _filled(repository)
        assert fetch(mirror) == revision
        assert asyncio.run(mirror.has_files(revision))


def test_files_that_a_crash_left_out_are_brought_by_the_next_fetch(
    repository: Repository, tmp_path: Path
) -> None:
    revision = _filled(repository)
    with serving(_served(repository)) as port:
        url = f"http://127.0.0.1:{port}/origin.git"
        fetch(Mirror(url, tmp_path / "m"))
        packs = sorted((tmp_path / "m/objects/pack").glob("*.pack"), key=lambda one: one.stat().st_size)
        for one in packs[-1].parent.glob(f"{packs[-1].stem}.*"):
            one.unlink()  # the files, which are larger than the history
        again = Mirror(url, tmp_path / "m")
        assert not asyncio.run(again.has_files(revision))
        assert fetch(again) == revision
        assert asyncio.run(again.has_files(revision))


@pytest.mark.parametrize("damage", [emptied, without_objects])
def test_a_damaged_copy_without_all_files_is_made_anew(
    repository: Repository, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    _filled(repository)
    with serving(_served(repository)) as port:
        mirror = Mirror(f"http://127.0.0.1:{port}/origin.git", tmp_path / "m")
        fetch(mirror)
        damage(tmp_path / "m")
        revision = repository.commit({"a": "2"})
        assert fetch(mirror) == revision
        assert asyncio.run(mirror.has_files(revision))
