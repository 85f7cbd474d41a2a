"""A revert on a branch of its own, made and pushed by real Git."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from events.kernel.errors import StagecraftError
from gitops.source.revert_branch import RevertBranch, RevertPlan, merge_request_command, push_revert
from tests.support.repos import Repository, git

NAME = "stagecraft/revert-rel-1"


def plan(bad: str, good: str) -> RevertPlan:
    return RevertPlan(bad=bad, good=good, branch="main", name=NAME, words="shop/prod was rolled back.")


def pushed(repository: Repository, bad: str, good: str) -> RevertBranch:
    return asyncio.run(push_revert(repository.work, plan(bad, good)))


def refused(repository: Repository, bad: str, good: str) -> StagecraftError:
    """The error, after making sure that nothing was left anywhere."""
    heads = git("for-each-ref", cwd=repository.origin)
    with pytest.raises(StagecraftError) as caught:
        pushed(repository, bad, good)
    assert git("for-each-ref", cwd=repository.origin) == heads
    assert_untouched(repository)
    return caught.value


def assert_untouched(repository: Repository) -> None:
    """The operator's clone is on its branch, without a work tree of ours beside it."""
    assert git("branch", "--show-current", cwd=repository.work) == "main"
    assert len(git("worktree", "list", cwd=repository.work).splitlines()) == 1


def at_host(repository: Repository, path: str) -> str:
    return git("show", f"{NAME}:{path}", cwd=repository.origin)


@pytest.fixture
def good(repository: Repository) -> str:
    """The commit to go back to."""
    return repository.commit({"web": "1\n", "worker": "1\n"}, "first")


def test_the_branch_is_the_watched_one_without_the_bad_commit(repository: Repository, good: str) -> None:
    bad = repository.commit({"web": "2\n"}, "faster")
    tip = repository.commit({"worker": "2\n"}, "unrelated")
    made = pushed(repository, bad, good)
    assert (made.name, made.remote) == (NAME, "origin")
    assert git("rev-parse", NAME, cwd=repository.origin) == made.revision
    assert git("rev-parse", "main", cwd=repository.origin) == tip
    assert git("rev-parse", f"{NAME}^", cwd=repository.origin) == tip
    assert (at_host(repository, "web"), at_host(repository, "worker")) == ("1", "2")
    message = git("log", "-1", "--format=%B", NAME, cwd=repository.origin)
    assert message.startswith('Revert "faster"')
    assert f"This reverts commit {bad}." in message
    assert "shop/prod was rolled back." in message
    assert git("log", "-1", "--format=%an", NAME, cwd=repository.origin) == "Test Person"
    assert_untouched(repository)


def test_what_lies_in_front_of_the_operator_stays(repository: Repository, good: str) -> None:
    bad = repository.commit({"web": "2\n"}, "bad")
    repository.write({"web": "half done\n", "new": "not added\n"})
    git("add", "web", cwd=repository.work)
    status = git("status", "--porcelain", cwd=repository.work)
    pushed(repository, bad, good)
    assert git("status", "--porcelain", cwd=repository.work) == status
    assert git("rev-parse", "HEAD", cwd=repository.work) == bad
    assert (repository.work / "web").read_text() == "half done\n"


def test_commits_that_only_the_host_has_are_fetched_first(
    repository: Repository, good: str, tmp_path: Path
) -> None:
    bad = repository.commit({"web": "2\n"}, "bad")
    git("clone", "--quiet", str(repository.origin), str(tmp_path / "other"), cwd=tmp_path)
    other = Repository(origin=repository.origin, work=tmp_path / "other")
    tip = other.commit({"worker": "3\n"}, "by somebody else")
    pushed(repository, bad, good)
    assert git("rev-parse", f"{NAME}^", cwd=repository.origin) == tip
    assert at_host(repository, "worker") == "3"


def test_several_commits_and_a_merge_are_one_commit(repository: Repository, good: str) -> None:
    repository.commit({"web": "2\n"}, "second")
    repository.branch("feature")
    repository.commit({"worker": "2\n"}, "inside")
    repository.switch("main")
    bad = repository.merge("feature")
    made = pushed(repository, bad, good)
    assert (at_host(repository, "web"), at_host(repository, "worker")) == ("1", "1")
    assert git("rev-list", "--count", f"main..{made.revision}", cwd=repository.origin) == "1"
    message = git("log", "-1", "--format=%B", NAME, cwd=repository.origin)
    assert message.count("This reverts commit ") == 2
    assert "and 1 more" in message.splitlines()[0]


def test_a_conflict_is_for_a_person(repository: Repository, good: str) -> None:
    bad = repository.commit({"web": "2\n"}, "bad")
    repository.commit({"web": "3\n"}, "on top")
    error = refused(repository, bad, good)
    assert error.code == "revert-branch-conflicts"
    assert f"git revert {bad[:12]}" in error.next


def test_a_branch_that_is_there_already_is_left_alone(repository: Repository, good: str) -> None:
    bad = repository.commit({"web": "2\n"}, "bad")
    pushed(repository, bad, good)
    assert refused(repository, bad, good).code == "revert-branch-exists"


def test_a_host_that_takes_no_push_is_quoted(repository: Repository, good: str) -> None:
    bad = repository.commit({"web": "2\n"}, "bad")
    hook = repository.origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'you may not push here' >&2\nexit 1\n")
    hook.chmod(0o755)
    error = refused(repository, bad, good)
    assert (error.code, error.exit_code) == ("revert-branch-not-pushed", 2)
    assert "you may not push here" in error.why


def test_links_of_the_host_are_passed_on(repository: Repository, good: str) -> None:
    bad = repository.commit({"web": "2\n"}, "bad")
    hook = repository.origin / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'open it: https://git.example.org/shop/-/new?source=x' >&2\n")
    hook.chmod(0o755)
    assert pushed(repository, bad, good).links == ("https://git.example.org/shop/-/new?source=x",)


def test_what_the_branch_took_back_already_is_not_pushed(repository: Repository, good: str) -> None:
    bad = repository.commit({"web": "2\n"}, "bad")
    repository.revert()
    error = refused(repository, bad, good)
    assert error.code in {"revert-branch-not-possible", "revert-branch-conflicts"}


def test_a_commit_that_is_not_on_the_branch_is_not_reverted(repository: Repository, good: str) -> None:
    repository.branch("aside")
    bad = repository.commit({"web": "2\n"}, "bad")
    repository.switch("main")
    error = refused(repository, bad, good)
    assert error.code == "revert-branch-not-possible"
    assert "is not on main of origin" in error.message


def test_a_clone_without_a_remote_says_so(repository: Repository, good: str) -> None:
    bad = repository.commit({"web": "2\n"}, "bad")
    git("remote", "remove", "origin", cwd=repository.work)
    assert refused(repository, bad, good).code == "revert-branch-not-possible"


def test_hooks_of_the_operator_do_not_run_for_the_commit(repository: Repository, good: str) -> None:
    bad = repository.commit({"web": "2\n"}, "bad")
    hooks = repository.work / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("pre-commit", "commit-msg", "post-checkout"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    pushed(repository, bad, good)


@pytest.mark.parametrize(
    ("address", "begins"),
    [
        ("git@github.com:shop/shop.git", "gh pr create --head stagecraft/revert-rel-1 --base main"),
        ("https://ann@gitlab.example.org/shop.git", "glab mr create --source-branch stagecraft/revert-rel-1"),
        (
            "ssh://git@gitlab.example.org:22/shop.git",
            "glab mr create --source-branch stagecraft/revert-rel-1",
        ),
        ("/srv/github/shop.git", "open a merge request from stagecraft/revert-rel-1 into main"),
        ("", "open a merge request from stagecraft/revert-rel-1 into main"),
    ],
)
def test_the_command_that_opens_it_is_that_of_the_host(address: str, begins: str) -> None:
    assert merge_request_command(address, plan("b", "a")).startswith(begins)
