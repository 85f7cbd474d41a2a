"""The newest version tag of a repository, brought here."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from events.kernel.errors import UserError
from gitops.source.mirror import TOO_MANY_TAGS, Mirror
from gitops.source.tags import VERSION_MISSING, VersionTag
from gitops.source.versions import parse_range
from tests.integration.gitops.githost import GitHost, serving
from tests.integration.gitops.mirror.scene import (
    emptied,
    look,
)
from tests.support.repos import Repository, git


def _tagged(repository: Repository, *names: str) -> None:
    for name in names:
        git("tag", "--annotate", "--message", name, name, cwd=repository.work)
    git("push", "--quiet", "--tags", cwd=repository.work)


def newest(mirror: Mirror, wanted: str = "*") -> VersionTag:
    """Where the newest version is, at the source and then here."""

    async def brought() -> VersionTag:
        versions = parse_range(wanted)
        return await mirror.fetch_tag(versions, await mirror.newest_tag(versions))

    return asyncio.run(brought())


def test_the_newest_version_is_brought_here_by_a_path_and_by_http(
    repository: Repository, tmp_path: Path
) -> None:
    revision = repository.commit({"a": "1"})
    _tagged(repository, "v1.9.0", "v1.10.0", "latest")
    repository.commit({"a": "2"})
    host = GitHost(root=repository.origin.parent)
    with serving(host) as port:
        for number, url in enumerate((str(repository.origin), f"http://127.0.0.1:{port}/origin.git")):
            mirror = Mirror(url, tmp_path / f"m{number}")
            tag = newest(mirror)
            assert (tag.name, tag.revision, tag.annotated) == ("v1.10.0", revision, True)
            with mirror.repository() as opened:
                assert opened.tree(revision).read("a", max_bytes=10) == b"1"
                assert opened.has(tag.object_id)


def test_a_tag_that_moves_between_question_and_fetch_is_asked_for_again(
    repository: Repository, tmp_path: Path
) -> None:
    repository.commit({"a": "1"})
    _tagged(repository, "v1.0.0")
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    asked = asyncio.run(mirror.newest_tag(parse_range("*")))
    later = repository.commit({"a": "2"})
    git("tag", "--force", "v1.0.0", cwd=repository.work)
    git("push", "--quiet", "--force", "origin", "refs/tags/v1.0.0", cwd=repository.work)
    found = asyncio.run(mirror.fetch_tag(parse_range("*"), asked))
    assert (found.revision, found.annotated) == (later, False)
    git("push", "--quiet", "--delete", "origin", "refs/tags/v1.0.0", cwd=repository.work)
    with pytest.raises(UserError) as caught:
        asyncio.run(mirror.fetch_tag(parse_range("*"), found))
    assert caught.value.code == VERSION_MISSING


def test_a_damaged_copy_of_a_tag_is_made_anew(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    _tagged(repository, "v1.0.0")
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    newest(mirror)
    emptied(tmp_path / "m")
    repository.commit({"a": "2"})
    _tagged(repository, "v1.1.0")
    assert newest(mirror).revision == repository.head()


def _with_tags(repository: Repository, count: int) -> None:
    """So many more tags, without a process for each."""
    head = repository.head()
    rows = [f"{head} refs/tags/v0.0.{number}\n" for number in range(count)]
    (repository.origin / "packed-refs").write_text("# pack-refs with: sorted\n" + "".join(sorted(rows)))


def test_five_thousand_tags_are_looked_through_and_two_hundred_thousand_refused(
    repository: Repository, tmp_path: Path
) -> None:
    repository.commit({"a": "1"})
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    _with_tags(repository, 5_000)
    assert newest(mirror).name == "v0.0.4999"
    _with_tags(repository, 200_000)
    with pytest.raises(UserError) as caught:
        newest(mirror)
    assert caught.value.code == TOO_MANY_TAGS
    assert "200000 lines" in caught.value.message
    assert look(mirror) == repository.head()
