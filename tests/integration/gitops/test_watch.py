"""Watching the refs of a local repository: pushes are noticed, objects and locks are not."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from gitops.source.watch import git_folder, watch_refs
from tests.support.repos import Repository, git


def _noticed(folder: Path, ref: str, change: Callable[[], object], *, seconds: float = 5.0) -> bool:
    """Whether the watch says something after `change`, which is repeated until the watch has begun."""

    async def story() -> bool:
        async with aclosing(watch_refs(folder, ref)) as changes:
            heard = asyncio.ensure_future(anext(changes, "ended"))
            try:
                async with asyncio.timeout(seconds):
                    while not heard.done():
                        await asyncio.to_thread(change)
                        await asyncio.wait([heard], timeout=0.3)
            except TimeoutError:
                pass
            noticed = heard.done()
            heard.cancel()
            await asyncio.gather(heard, return_exceptions=True)
            return noticed

    return asyncio.run(story())


def _push(repository: Repository) -> Callable[[], object]:
    counter = iter(range(1000))
    return lambda: repository.commit({"file": str(next(counter))})


def test_a_push_to_a_bare_repository_is_noticed(repository: Repository) -> None:
    repository.commit({"file": "first"})
    folder = git_folder(str(repository.origin))
    assert folder == repository.origin
    assert folder is not None
    assert _noticed(folder, "refs/heads/main", _push(repository))


def test_a_commit_in_a_work_tree_is_noticed(repository: Repository) -> None:
    repository.commit({"file": "first"})
    folder = git_folder(str(repository.work))
    assert folder == repository.work / ".git"
    assert folder is not None
    assert _noticed(folder, "refs/heads/main", _push(repository))


def test_the_refs_of_a_linked_work_tree_are_those_of_its_repository(
    repository: Repository, tmp_path: Path
) -> None:
    repository.commit({"file": "first"})
    linked = tmp_path / "linked"
    git("worktree", "add", "--quiet", "-b", "other", str(linked), cwd=repository.work)
    assert git_folder(str(linked)) == repository.work / ".git"


def test_packed_refs_are_watched_and_locks_are_not(repository: Repository) -> None:
    repository.commit({"file": "first"})
    folder = repository.origin
    assert _noticed(folder, "refs/heads/main", (folder / "packed-refs").touch)
    assert not _noticed(folder, "refs/heads/main", (folder / "config.lock").touch, seconds=1.0)
    assert not _noticed(folder, "refs/heads/main", (folder / "COMMIT_EDITMSG").touch, seconds=1.0)


def test_a_branch_with_a_slash_is_noticed_when_its_folder_comes(repository: Repository) -> None:
    repository.commit({"file": "first"})
    counter = iter(range(1000))

    def push() -> None:
        git("push", "--quiet", "--force", "origin", "HEAD:refs/heads/team/feature", cwd=repository.work)
        repository.commit({"file": f"more {next(counter)}"}, push=False)

    assert _noticed(repository.origin, "refs/heads/team/feature", push)


def test_a_tag_is_noticed_where_tags_are_watched(repository: Repository) -> None:
    repository.commit({"file": "first"})
    counter = iter(range(1000))

    def tag() -> None:
        git("push", "--quiet", "origin", f"HEAD:refs/tags/v1.0.{next(counter)}", cwd=repository.work)

    assert _noticed(repository.origin, "refs/tags/>=1.0 <2", tag)
    assert not _noticed(repository.origin, "refs/heads/main", tag, seconds=1.0)


def test_a_repository_that_is_gone_ends_the_watch(repository: Repository) -> None:
    shutil.rmtree(repository.origin)

    async def story() -> list[None]:
        return [one async for one in watch_refs(repository.origin, "refs/heads/main")]

    assert asyncio.run(story()) == []


@pytest.mark.parametrize("url", ["https://example.org/x.git", "/nowhere/at/all"])
def test_what_is_not_a_repository_of_this_machine_has_no_folder(url: str) -> None:
    assert git_folder(url) is None
