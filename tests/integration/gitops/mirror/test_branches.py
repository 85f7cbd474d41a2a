"""Mirrors of real repositories over real transports: which branch, and what is refused."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError, UserError
from gitops.source.absent import REPOSITORY_EMPTY, REPOSITORY_MISSING
from gitops.source.address import REPOSITORY_URL_REFUSED
from gitops.source.branchname import BRANCH_MISSING
from gitops.source.exchange import GIT_UNREACHABLE, Patience
from gitops.source.gitcommand import GIT_FAILED
from gitops.source.mirror import Mirror
from tests.integration.gitops.mirror.scene import (
    fetch,
    look,
    refusal,
)
from tests.support.repos import Repository, git


def test_a_branch_is_seen_and_brought_here(repository: Repository, tmp_path: Path) -> None:
    revision = repository.commit({"a": "1"})
    mirror = Mirror(str(repository.origin), tmp_path / "mirrors/one")
    assert mirror.existing() is None
    assert look(mirror) == revision
    assert mirror.existing() is None
    assert fetch(mirror) == revision
    with mirror.repository() as opened:
        assert opened.root is None
        assert opened.tree(revision).read("a", max_bytes=10) == b"1"
        assert opened.has(revision)
        assert not opened.has("1" * 40)


@pytest.mark.parametrize("form", ["{path}", "file://{path}", "{work}"])
def test_a_path_may_be_written_in_several_ways(repository: Repository, tmp_path: Path, form: str) -> None:
    revision = repository.commit({"a": "1"})
    url = form.format(path=repository.origin, work=repository.work)
    assert fetch(Mirror(url, tmp_path / "m")) == revision


def test_a_second_fetch_brings_what_is_new(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    fetch(mirror)
    revision = repository.commit({"a": "2"})
    assert look(mirror) == revision
    assert fetch(mirror) == fetch(mirror) == revision


def test_a_rewritten_branch_is_taken_and_the_old_commit_stays(repository: Repository, tmp_path: Path) -> None:
    first = repository.commit({"a": "1"})
    old = repository.commit({"a": "2"})
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    fetch(mirror)
    git("reset", "--quiet", "--hard", first, cwd=repository.work)
    new = repository.commit({"a": "3"}, push=False)
    repository.push("--force")
    assert fetch(mirror) == new
    with mirror.repository() as opened:
        assert not opened.is_ancestor(old, new)
        assert opened.tree(old).read("a", max_bytes=10) == b"2"


def test_a_tag_never_stands_in_for_a_branch(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    git("tag", "release", cwd=repository.work)
    git("push", "--quiet", "origin", "release", cwd=repository.work)
    error = refusal(Mirror(str(repository.origin), tmp_path / "m"), "release")
    assert error.code == BRANCH_MISSING


def test_a_branch_wins_over_a_tag_of_its_name(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    git("tag", "main", cwd=repository.work)
    git("push", "--quiet", "origin", "refs/tags/main", cwd=repository.work)
    git("commit", "--quiet", "--allow-empty", "-m", "newer", cwd=repository.work)
    git("push", "--quiet", "origin", "HEAD:refs/heads/main", cwd=repository.work)
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    assert look(mirror) == fetch(mirror) == repository.head()


def test_a_branch_is_found_by_its_whole_name_alone(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    git("push", "--quiet", "origin", "HEAD:refs/heads/x/refs/heads/topic", cwd=repository.work)
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    assert refusal(mirror, "topic").code == BRANCH_MISSING
    assert look(mirror, "refs/heads/main") == repository.head()


@pytest.mark.parametrize("branch", ["refs/tags/v1", "refs/heads", "refs/remotes/origin/main"])
def test_a_full_name_that_is_no_branch_is_not_looked_for_among_branches(
    repository: Repository, tmp_path: Path, branch: str
) -> None:
    repository.commit({"a": "1"})
    git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}", cwd=repository.work)
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    assert refusal(mirror, branch).code == BRANCH_MISSING
    assert look(mirror, f"refs/heads/{branch}") == repository.head()


def test_a_branch_that_was_deleted_is_told_and_the_copy_keeps_its_commits(
    repository: Repository, tmp_path: Path
) -> None:
    revision = repository.commit({"a": "1"})
    repository.branch("topic")
    topic = repository.commit({"a": "2"})
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    assert fetch(mirror, "topic") == topic
    git("push", "--quiet", "--delete", "origin", "topic", cwd=repository.work)
    assert refusal(mirror, "topic").code == BRANCH_MISSING
    assert look(mirror) == revision
    with mirror.repository() as opened:
        assert opened.has(topic)


@pytest.mark.parametrize(("before", "after"), [("team", "team/web"), ("team/web", "team")])
def test_a_branch_that_stands_where_another_one_was_is_brought_here(
    repository: Repository, tmp_path: Path, before: str, after: str
) -> None:
    first = repository.commit({"a": "1"})
    git("push", "--quiet", "origin", f"HEAD:refs/heads/{before}", cwd=repository.work)
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    assert fetch(mirror, before) == first
    git("push", "--quiet", "--delete", "origin", before, cwd=repository.work)
    second = repository.commit({"a": "2"})
    git("push", "--quiet", "origin", f"HEAD:refs/heads/{after}", cwd=repository.work)
    assert fetch(mirror, after) == second
    with mirror.repository() as opened:
        assert opened.has(first)


def test_a_missing_branch_is_told_with_those_there_are(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    for number in range(25):
        git("branch", f"topic-{number:02}", cwd=repository.work)
    git("push", "--quiet", "--all", cwd=repository.work)
    error = refusal(Mirror(str(repository.origin), tmp_path / "m"), "gone")
    assert (error.code, type(error)) == (BRANCH_MISSING, UserError)
    assert "it has main, topic-00" in error.message
    assert error.message.endswith("and 6 more")


@pytest.mark.parametrize("branch", ["", "-x", "--exec=x", "a b", "a:b", "a..b", "a\nb", "a*", "refs/heads/"])
def test_what_cannot_be_a_branch_never_reaches_git(
    repository: Repository, tmp_path: Path, branch: str
) -> None:
    repository.commit({"a": "1"})
    assert refusal(Mirror(str(repository.origin), tmp_path / "m"), branch).code == BRANCH_MISSING


def test_a_repository_without_a_commit_is_an_error_and_not_an_empty_state(
    repository: Repository, tmp_path: Path
) -> None:
    assert refusal(Mirror(str(repository.origin), tmp_path / "m")).code == REPOSITORY_EMPTY


def test_a_path_without_a_repository_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone"):
        error = refusal(Mirror(str(path), tmp_path / "m"))
        assert (error.code, type(error)) == (REPOSITORY_MISSING, UserError)


def test_a_repository_of_another_user_is_mirrored(repository: Repository, tmp_path: Path) -> None:
    revision = repository.commit({"a": "1"})
    if os.geteuid() != 0:
        pytest.fail("only root can give files away; run the tests as root")
    for path in (repository.origin, *repository.origin.rglob("*")):
        os.chown(path, 65534, 65534)
    assert fetch(Mirror(str(repository.origin), tmp_path / "m")) == revision


def test_a_folder_that_cannot_be_made_is_a_local_error(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    (tmp_path / "m").write_text("in the way")
    with pytest.raises(OutsideError) as caught:
        fetch(Mirror(str(repository.origin), tmp_path / "m"))
    assert caught.value.code == GIT_FAILED


def test_nobody_listening_is_an_error_of_the_outside(tmp_path: Path) -> None:
    error = refusal(Mirror("http://127.0.0.1:9/repo", tmp_path / "m"))
    assert (error.code, type(error)) == (GIT_UNREACHABLE, OutsideError)
    assert "127.0.0.1" in error.why


def test_an_unknown_ssh_host_is_refused_without_a_question(tmp_path: Path) -> None:
    error = refusal(Mirror("ssh://git@127.0.0.1:9/repo", tmp_path / "m"))
    assert error.code == GIT_UNREACHABLE


def test_a_silent_server_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async def ask() -> None:
        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            mirror = Mirror(
                f"http://127.0.0.1:{port}/repo", tmp_path / "m", patience=Patience(look_seconds=0.5)
            )
            await mirror.remote_head("main")

    with pytest.raises(OutsideError) as caught:
        asyncio.run(ask())
    assert caught.value.code == GIT_UNREACHABLE
    assert "did not answer in 0.5 s" in caught.value.message


def test_a_machine_without_git_says_so(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutsideError, match="program not found: git"):
        look(Mirror(str(repository.origin), tmp_path / "m"))


@pytest.mark.parametrize("url", ["ext::sh -c 'touch /tmp/pwned'", "--upload-pack=touch /tmp/x", "fd::7"])
def test_an_odd_address_never_reaches_git(tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError) as caught:
        Mirror(url, tmp_path / "m")
    assert caught.value.code == REPOSITORY_URL_REFUSED


def test_configuration_of_the_user_does_not_reach_a_fetch(
    repository: Repository, tmp_path: Path, isolated_home: Path
) -> None:
    revision = repository.commit({"a": "1"})
    with (isolated_home / ".gitconfig").open("a") as file:
        file.write(f'[url "{tmp_path}/elsewhere"]\n    insteadOf = {repository.origin}\n')
    assert fetch(Mirror(str(repository.origin), tmp_path / "m")) == revision
