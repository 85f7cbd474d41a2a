"""Mirrors of servers that are slow, broken or lie: each has an end, a reason, and leaves what was there."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError, StagecraftError
from gitops.source.branchname import BRANCH_MISSING
from gitops.source.exchange import GIT_ASKED_TOO_OFTEN, GIT_UNREACHABLE, PATIENCE, Patience
from gitops.source.mirror import Mirror
from tests.integration.gitops.githost import GitHost, Trouble, serving
from tests.support.repos import Repository, git

BRISK = Patience(silent_seconds=2)
TROUBLES = {
    "silent": Trouble(silent=True),
    "silent in packs": Trouble(silent=True, in_packs=True),
    "cut": Trouble(cut=True),
    "cut in packs": Trouble(cut=True, in_packs=True),
    "500": Trouble(status=500),
    "429": Trouble(status=429, headers=(("Retry-After", "120"),)),
}


@dataclass(kw_only=True)
class Scene:
    repository: Repository
    host: GitHost
    url: str
    mirror: Mirror
    folder: Path
    good: str  # the commit that was fetched while the server was well

    def refused(self, patience: Patience = PATIENCE) -> StagecraftError:
        """The error of a look at a commit that is new, in which nothing that was here is lost."""
        hasty = Mirror(self.url, self.folder, patience=patience)
        with pytest.raises(StagecraftError) as caught:
            asyncio.run(look(hasty))
        with self.mirror.repository() as opened:
            assert opened.resolve("refs/heads/main").revision == self.good
            assert opened.tree(self.good).read("a", max_bytes=10) == b"good"
        return caught.value


async def look(mirror: Mirror) -> str:
    """As a look does: ask, then fetch what is new."""
    head = await mirror.remote_head("main")
    with mirror.repository() as opened:
        known = opened.has(head)
    return head if known else await mirror.fetch("main")


@pytest.fixture
def scene(repository: Repository, tmp_path: Path) -> Generator[Scene]:
    good = repository.commit({"a": "good"})
    host = GitHost(root=repository.origin.parent)
    with serving(host) as port:
        url = f"http://127.0.0.1:{port}/origin.git"
        mirror = Mirror(url, tmp_path / "m")
        assert asyncio.run(mirror.fetch("main")) == good
        yield Scene(
            repository=repository, host=host, url=url, mirror=mirror, folder=tmp_path / "m", good=good
        )


@pytest.mark.parametrize("name", TROUBLES)
def test_a_server_in_trouble_ends_in_an_error_keeps_what_was_there_and_is_well_again(
    scene: Scene, name: str
) -> None:
    trouble = TROUBLES[name]
    revision = scene.repository.commit({"a": "new", "b": "b" * 100_000})
    scene.host.trouble = trouble
    error = scene.refused(BRISK if trouble.silent else PATIENCE)
    assert isinstance(error, OutsideError)
    assert error.code == (GIT_ASKED_TOO_OFTEN if trouble.status == 429 else GIT_UNREACHABLE)
    assert "127.0.0.1" in error.message
    assert ("too slow" in error.why) == trouble.silent
    scene.host.trouble = Trouble()
    assert asyncio.run(look(scene.mirror)) == revision
    assert list(scene.folder.glob("objects/pack/tmp_*")) == []


def test_a_commit_that_a_server_names_and_does_not_have_is_not_taken(scene: Scene) -> None:
    scene.host.trouble = Trouble(lie=(scene.good, "d" * 40))
    assert scene.refused().code == GIT_UNREACHABLE
    scene.host.trouble = Trouble()
    assert asyncio.run(look(scene.mirror)) == scene.good


def test_a_branch_that_points_at_a_file_is_not_taken(scene: Scene) -> None:
    blob = git("rev-parse", "HEAD:a", cwd=scene.repository.work)
    (scene.repository.origin / "refs/heads/main").write_text(f"{blob}\n")
    with pytest.raises(StagecraftError) as caught:
        asyncio.run(scene.mirror.fetch("main"))
    assert "non-commit" in caught.value.why
    with scene.mirror.repository() as opened:
        assert opened.resolve("refs/heads/main").revision == scene.good


def test_thousands_of_refs_are_no_trouble(scene: Scene) -> None:
    refs = "".join(f"create refs/heads/team/{number:05} {scene.good}\n" for number in range(5000))
    subprocess.run(
        ["git", "update-ref", "--stdin"],
        cwd=scene.repository.origin,
        input=refs.encode(),
        check=True,
        timeout=60,
    )
    assert asyncio.run(look(scene.mirror)) == scene.good
    with pytest.raises(StagecraftError) as caught:
        asyncio.run(scene.mirror.remote_head("gone"))
    assert caught.value.code == BRANCH_MISSING
    assert "and 4981 more" in caught.value.message
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("head -c 40000000 /dev/zero", "answers with more than 33554432 bytes of refs"),
        ("head -c 40000000 /dev/zero >&2; exit 128", "cannot be read"),
    ],
)
def test_what_a_server_says_without_end_fills_no_error_and_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, says: str
) -> None:
    """Git passes on what it is told; a program in its place says as much."""
    program = tmp_path / "bin/git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with pytest.raises(OutsideError) as caught:
        asyncio.run(Mirror("ssh://git@127.0.0.1/repo", tmp_path / "m").remote_head("main"))
    assert caught.value.code == GIT_UNREACHABLE
    assert says in caught.value.message
    assert len(str(caught.value)) < 20_000
